/**
 * What goes into the placement engine and what comes out.
 *
 * Units, everywhere in this package: instants are milliseconds since the epoch, durations milliseconds, cpus
 * thousandths of a core, memory bytes, devices thousandths of a device where a share is meant. Ids are the
 * caller's strings; inside the engine everything is an index into flat arrays.
 */

/** The ladder that job specs use. A fabric may have more levels of its own between these (`ClusterOptions.levels`). */
export type Rung = "node" | "domain" | "leaf" | "spine" | "zone";

/** One level of the fabric, named from the bottom up: `domain` first, `zone` last by default. */
export interface FabricLevel {
  name: string;
  /** The rung that this level stands for; a level without one only guides rank order and best fit. */
  rung?: Exclude<Rung, "node">;
}

export interface NodeInput {
  id: string;
  pool: string;
  /** Accelerator model of its devices: `h800`, `ascend-910b`, `cpu`... */
  accelerator: string;
  devices: number;
  cpuMillis: number;
  memoryBytes: number;
  /**
   * The block it is in at each fabric level, by level name. A missing `domain` is the node itself; any other
   * missing level is one block below the next level above that is given.
   */
  fabric?: Readonly<Record<string, string>>;
  /** False while cordoned, draining, quarantined or silent: nothing new is started on it, what runs stays. */
  schedulable: boolean;
  /** Nothing is placed on it that finds room elsewhere. */
  doubtful?: boolean;
  /** Why it is not schedulable, for the reason `nodes_unhealthy`. */
  health?: string;
  /** Thousandths of each device that something else than a known job holds (a dead device: 1000). */
  heldDevices?: readonly number[];
  heldCpuMillis?: number;
  heldMemoryBytes?: number;
}

export interface PoolInput {
  id: string;
  ownership?: "owned" | "leased" | "cloud";
  /** Per device-hour, in any one currency. */
  price?: number;
  /** Nothing that cannot finish or checkpoint before is started after this. */
  leaseEnd?: number;
  /** Watts that the pool may draw, and what one busy device draws. */
  powerBudget?: number;
  devicePower?: number;
}

/** Nodes kept free for a time: maintenance, or a reservation for some jobs. */
export interface WindowInput {
  id: string;
  nodes: readonly string[];
  start: number;
  end: number;
  /** The only jobs, and queues whose jobs, may use the nodes in the window. */
  jobs?: readonly string[];
  queues?: readonly string[];
}

/** What quota is counted in. Accelerators in thousandths of a device, cpus in thousandths, memory in bytes. */
export type QuotaResource = "accelerators" | "cpus" | "memory";

/** Quota of one resource, of all hardware or of one accelerator model or pool. */
export interface QuotaInput {
  resource: QuotaResource;
  accelerator?: string;
  pool?: string;
  /** Guaranteed share; of a parent, for its whole subtree. Absent: nothing guaranteed. */
  nominal?: number;
  /** Most above nominal. Absent: whatever is idle. */
  borrowLimit?: number;
  /** Most that others may take of an idle nominal. Absent: all of it. */
  lendLimit?: number;
  /** Absolute ceiling, also where no nominal is set. */
  limit?: number;
  /** What reclaim may never go below, if more than nominal. */
  guarantee?: number;
}

/** Who may be evicted, in other queues, so that this queue gets its own share back. */
export type ReclaimPolicy = "any_priority" | "lower_priority" | "never";
/** Who may be evicted within one queue. */
export type WithinQueuePolicy = "lower_priority" | "lower_or_newer_equal" | "never";

export interface QueueInput {
  id: string;
  parent?: string;
  quotas?: readonly QuotaInput[];
  /** Share of what nobody is guaranteed. Default 1. */
  weight?: number;
  /**
   * `strict`: nothing overtakes a blocked job that wants the same hardware. `least_service`: of equally urgent jobs those go
   * first that are expected to need the fewest further device-seconds, not the earliest, and running ones that need more
   * may have to stop for them. Default `best_effort`.
   */
  order?: "strict" | "best_effort" | "least_service";
  /** Default `any_priority`. */
  reclaim?: ReclaimPolicy;
  /** Default `lower_priority`. */
  withinQueue?: WithinQueuePolicy;
  /** Nothing is started from a paused queue. */
  paused?: boolean;
}

/** What one member (one node rank) of a role asks of its node. */
export interface ResourcesInput {
  /** Whole devices. */
  accelerators?: number;
  /** Instead of whole devices: thousandths of one device, 1 to 999. */
  share?: number;
  cpuMillis?: number;
  memoryBytes?: number;
}

export interface RoleInput {
  name: string;
  /** Node ranks: exactly `max`, or elastic from `min` up in steps of `step` (default 1). */
  nodes: { min: number; max: number; step?: number };
  resources: ResourcesInput;
  /** Members may share a node. Default false: each node rank has a node of its own. */
  colocate?: boolean;
  /** Restricts this role alone, for gangs whose roles run on different hardware. */
  accelerators?: readonly string[];
  pools?: readonly string[];
}

/** One way to run the job: which hardware, and what differs there. */
export interface VariantInput {
  /** Accelerator models it may run on; absent: any. A role never mixes models. */
  accelerators?: readonly string[];
  pools?: readonly string[];
  /** Per role name: what replaces the role's own resources or node count. */
  roles?: Readonly<Record<string, { resources?: ResourcesInput; nodes?: { min: number; max: number; step?: number } }>>;
  /** Steps per second relative to the other variants of the job; for `fastest` and `cheapest`; learned where one does not say. */
  throughput?: number;
}

export type ConstraintMode = "required" | "preferred";

/** `ranks` consecutive device ranks stay in one block of level `within` (a rung or a level's own name). */
export interface SegmentInput {
  ranks: number;
  within: string;
  mode: ConstraintMode;
  /** Only members of this role; absent: of every role. */
  role?: string;
}

export interface JobConstraintInput {
  within: string;
  mode: ConstraintMode;
}

/** What placement scores by: sizes of the parallel groups and the order in which ranks walk through them. */
export interface ParallelismInput {
  tp?: number;
  cp?: number;
  ep?: number;
  dp?: number;
  pp?: number;
  /** Innermost first, for example `tp-cp-ep-dp-pp`. */
  order?: string;
}

export interface JobInput {
  id: string;
  queue: string;
  /** Higher goes first. */
  priority: number;
  preemptible: boolean;
  submittedAt: number;
  roles: readonly RoleInput[];
  /** Absent or empty: one variant without restriction. */
  variants?: readonly VariantInput[];
  variantPolicy?: "ordered" | "fastest" | "cheapest";
  /** After the first start: the only variant that may be used. */
  stickyVariant?: number;
  segments?: readonly SegmentInput[];
  within?: JobConstraintInput;
  excludedNodes?: readonly string[];
  /** For a restart in place: taken first where they fit. */
  preferredNodes?: readonly string[];
  parallelism?: ParallelismInput;
  /** Run times and throughput are learned and looked up per class. */
  jobClass?: string;
  /** From the next start on, what earlier attempts did is not counted; told anew before a job waits again. */
  expectedDuration?: number;
  timeLimit?: number;
  /** How long earlier attempts ran to any use. */
  ran?: number;
  startAfter?: number;
  /** Restart back-off: not before this instant. */
  backoffUntil?: number;
  /** `writes: false`: nothing says that it ever writes one, so that it cannot be stopped without loss. */
  checkpoint?: { grace?: number; interval?: number; writes?: boolean };
  /** Held by its user or by an operator. */
  held?: "user" | "operator";
  dependency?: "waiting" | "never";
  /** Set by the caller where the spec itself is refused; the text is shown. */
  invalid?: string;
}

/** One placed member. `devices` are indices on the node; `share` is thousandths held of each of them. */
export interface MemberPlacement {
  role: string;
  /** Node rank within its role, from 0. */
  rank: number;
  node: string;
  devices: readonly number[];
  share: number;
  cpuMillis: number;
  memoryBytes: number;
}

/** Start the whole gang. Members are in rank order, role by role in the order of the spec. */
export interface Start {
  job: string;
  variant: number;
  members: readonly MemberPlacement[];
  /** 1 is as good as this cluster could ever place it, by expected cross-switch traffic. */
  locality: number;
}

/** Why something running is touched, and for whom. */
export interface DisruptionCause {
  kind: "priority" | "reclaim" | "fair_share" | "consolidation" | "node_drain";
  /** The waiting job that needs it. */
  forJob: string;
  message: string;
}

/** Stop the job with its grace; its capacity stays reserved for `cause.forJob` until `released`. */
export interface Eviction {
  job: string;
  cause: DisruptionCause;
  graceMs: number;
  /** Device-milliseconds of work since its last checkpoint. */
  lostWork: number;
}

/** A resize at a checkpoint: these members go (shrink) or are added (grow). */
export interface Resize {
  job: string;
  members: readonly MemberPlacement[];
  cause?: DisruptionCause;
}

/** Stop the job and start it again on `start`, which is reserved for it from now on. */
export interface Move {
  job: string;
  start: Start;
  cause: DisruptionCause;
  graceMs: number;
  lostWork: number;
}

export type WaitReason =
  | "held"
  | "invalid"
  | "no_matching_pool"
  | "queue_paused"
  | "dependency"
  | "start_time"
  | "exceeds_quota"
  | "exceeds_topology"
  | "quota_exhausted"
  | "behind_higher_priority"
  | "insufficient_capacity"
  | "topology_fragmented"
  | "nodes_unhealthy"
  | "waiting_for_preemption"
  | "restart_backoff"
  | "pending_evaluation";

export interface Need {
  members: number;
  devices: number;
  /** Largest ask of one member. */
  perNode: { accelerators: number; share: number; cpuMillis: number; memoryBytes: number };
  segments: readonly { nodes: number; within: string; mode: ConstraintMode }[];
  within?: JobConstraintInput;
}

export interface PoolFree {
  pool: string;
  accelerator: string;
  freeDevices: number;
  /** Nodes with every device free. */
  freeNodes: number;
  totalDevices: number;
  /** Members of this job that fit, ignoring topology. */
  membersThatFit: number;
  /** Nodes that are registered but not schedulable. */
  unhealthyNodes: number;
}

/** How large a gang could start now if every `segmentNodes` members had to share one block of `within`. */
export interface GangBySegment {
  pool: string;
  within: string;
  segmentNodes: number;
  members: number;
}

/** Nodes that were looked at and turned down, by what they lack. */
export interface Filtered {
  why: string;
  nodes: number;
  sampleNodes: readonly string[];
}

/** How many of the needed members one block of the fabric could take. */
export interface BlockFit {
  block: string;
  level: string;
  fits: number;
  needed: number;
}

export interface StartEstimate {
  /** Milliseconds since the epoch; null: unknown. */
  p50: number | null;
  p90: number | null;
  basis: string;
}

export interface Explanation {
  job: string;
  reason: WaitReason;
  /** One sentence with the numbers it was judged on. */
  message: string;
  /** Since when this has been the reason. */
  since: number;
  evaluatedAt: number;
  need: Need;
  free: readonly PoolFree[];
  largestGangs: readonly GangBySegment[];
  filtered: readonly Filtered[];
  blocks: readonly BlockFit[];
  ahead: { jobs: number; devices: number; top: readonly string[] };
  wouldFitIf: readonly string[];
  estimate: StartEstimate;
}

/** What one cycle decided. All of it is already applied to the engine's state; `undo` takes one decision back. */
export interface CycleResult {
  now: number;
  starts: readonly Start[];
  evictions: readonly Eviction[];
  shrinks: readonly Resize[];
  grows: readonly Resize[];
  moves: readonly Move[];
  /** Jobs looked at, and jobs skipped because nothing that they need was freed. */
  evaluated: number;
  skipped: number;
  waiting: number;
  /** The next instant at which time alone may change a decision; null: none. */
  wakeAt: number | null;
}

/** The answer to a what-if. */
export interface Plan {
  /** Where it would run if it were submitted now; null: it would wait. */
  start: Start | null;
  /** Why it would wait; null when it would start. */
  explanation: Explanation | null;
  /** True: not even with every registered node healthy and empty and every limit unused. */
  impossible: boolean;
  /** Evictions that its start would need. */
  evictions: readonly string[];
}

/** A changed cluster for a what-if. */
export interface ClusterChange {
  addNodes?: readonly NodeInput[];
  removeNodes?: readonly string[];
  updateNodes?: readonly NodeInput[];
  /** Taken as schedulable, or not, whatever they are now. */
  returnNodes?: readonly string[];
  cordonNodes?: readonly string[];
  /** So many more like a node there is, beside it in the fabric and empty. Each is named `node+1`, `node+2`... */
  addLike?: readonly { node: string; count: number }[];
  /** Running or waiting. */
  removeJobs?: readonly string[];
  /** In place of what is known of them; their parents stay. */
  queues?: readonly QueueInput[];
}

/** Operator policy; every field has a safe default and may be changed live. */
export interface Policy {
  /** Running time during which a job may not be evicted or moved. Default 5 minutes. */
  protectedRuntimeMs: number;
  /** `fair_share`: also surplus is taken back from those who hold more of it. Default `fair_share`. */
  reclaim: "fair_share" | "nominal" | "never";
  /**
   * Part of the cluster by which a queue's share must exceed another's before work is evicted to even them out;
   * smaller differences are not worth the lost work. Default 0.001.
   */
  fairShareMargin: number;
  /** Whether capacity that no queue is guaranteed may be borrowed. Default `borrowable`. */
  unassignedCapacity: "borrowable" | "closed";
  /** Half-life of past usage in the fair order; 0 counts present usage only. Default 0. */
  usageHalfLifeMs: number;
  /** Whether a blocked job's dated reservation holds back later jobs. Default `dated`. */
  backfill: "dated" | "greedy";
  /** Dated reservations kept at a time. Default 8. */
  reservations: number;
  /** Move running jobs when a waiting gang can start by it. Default true. */
  consolidation: boolean;
  /** Jobs that may span zones at a time; absent: any number. */
  maxCrossZoneJobs?: number;
}

export interface ClusterOptions {
  /** Fabric levels from the bottom up, at most eight. Default: domain, leaf, spine, zone. */
  levels?: readonly FabricLevel[];
  policy?: Partial<Policy>;
}

/** A running gang as the store knows it, for the rebuild after a restart. */
export interface RunningJob {
  variant: number;
  members: readonly MemberPlacement[];
  startedAt: number;
  lastCheckpointAt?: number;
  /** Set when it is being stopped: for whom its capacity is kept. */
  stoppingFor?: string;
}

/** A run that ended well, for what is learned of its class. */
export interface FinishedRun {
  jobClass: string;
  accelerator: string;
  /** Milliseconds. */
  runTime: number;
}

/**
 * The engine. State changes are fed in as they are committed; `cycle` decides. Calls are synchronous and
 * deterministic: the same calls in the same order give the same answers. Unknown ids and impossible values throw
 * an Error that names them.
 */
export interface PlacementEngine {
  setPolicy(policy: Partial<Policy>): void;

  putPool(pool: PoolInput): void;
  putNode(node: NodeInput): void;
  /** The node leaves the cluster; it must hold no job. */
  removeNode(id: string): void;

  putWindow(window: WindowInput): void;
  removeWindow(id: string): void;

  putQueue(queue: QueueInput): void;
  /** The queue must have no job and no child. */
  removeQueue(id: string): void;

  submit(job: JobInput): void;
  /** Replaces what is known of a job; a running one keeps its placement. */
  updateJob(job: JobInput): void;
  /** A waiting or running job is gone for good; what it held is free. */
  removeJob(id: string): void;

  /** A submitted job runs on these nodes (rebuild after a restart, or another's decision). */
  started(id: string, running: RunningJob): void;
  /** Running time begins to count for protection and estimates. */
  checkpointed(id: string, at: number): void;
  /** Runs that ended before the engine knew of them, the latest last. */
  learn(runs: readonly FinishedRun[]): void;
  /** The job ended; what it held is free. Same as `removeJob`, and its run time is learned from. */
  finished(id: string, at: number): void;
  /**
   * All workers of a job are confirmed dead. It waits again; after a move, shrink or grow the next cycle starts it
   * in the places kept for it.
   */
  released(id: string, at: number): void;
  /** These members of a shrinking job are confirmed dead, and the others go on without a restart. */
  membersReleased(id: string, members: readonly { role: string; rank: number }[], at: number): void;
  /**
   * These members of a running gang are lost for good, the others keep their places for it. Cycles look for
   * replacements around them and start the gang anew, whole; `released` gives up waiting for that.
   */
  lost(id: string, members: readonly { role: string; rank: number }[], at: number): void;
  /** A decision of the last cycle could not be committed: back to before it. */
  undo(id: string): void;

  cycle(now: number): CycleResult;
  explain(id: string): Explanation;
  /** The dominant reason alone: much cheaper than the whole explanation. */
  waitReason(id: string): WaitReason;
  /**
   * Works on the estimated starts of all waiting jobs until about `budgetMs` of the caller's clock have passed; decides
   * nothing. True when all are done; the next call then begins anew. `explain` gives these for a minute.
   */
  estimates(now: number, budgetMs: number, clock: () => number): boolean;
  /** What-if: nothing is changed. */
  plan(job: JobInput, now: number, change?: ClusterChange): Plan;
  capacity(): readonly PoolFree[];
}
