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
