import type { ClusterOptions, NodeInput, WindowInput } from "./cluster-input.ts";
import { DatedReservations } from "./dated.ts";
import { EmptyCluster } from "./empty-cluster.ts";
import { enqueue } from "./enqueue.ts";
import { Estimates } from "./estimates.ts";
import { Holders } from "./holders.ts";
import type { JobRecord } from "./jobs.ts";
import { Learned } from "./learned.ts";
import { Leaving } from "./leaving.ts";
import { Levels } from "./levels.ts";
import type { Holding } from "./nodes.ts";
import type { Partition } from "./partition.ts";
import { Placer } from "./placer.ts";
import { DEFAULT_POLICY, mergePolicy, type Policy } from "./policy.ts";
import { spansZones } from "./preference.ts";
import { QuotaTree, type QueueNode, type Usage } from "./quota.ts";
import type { Request } from "./request.ts";
import { Requests } from "./requests.ts";
import { RunningJobs, type RunningOfQueue } from "./running.ts";
import { Scarcity } from "./scarcity.ts";
import { Service } from "./service.ts";
import { Heap, type Lane } from "./waiting.ts";

/** Everything the engine knows. The steps by which it changes are functions of their own. */
export class State {
  readonly levels: Levels;
  readonly placer: Placer;
  readonly quota = new QuotaTree();
  policy: Policy;
  readonly jobs = new Map<string, JobRecord>();
  /** Jobs seen so far. */
  sequence = 0;
  /** Lanes with waiting jobs, by queue. */
  readonly lanes = new Map<QueueNode, Map<Request, Lane>>();
  readonly jobsOfQueue = new Map<QueueNode, Set<JobRecord>>();
  /** Nodes as they were last put. */
  readonly nodeInputs = new Map<string, NodeInput>();
  /** What nodes hold beside known jobs, by slot; counted among their members. */
  readonly nodeHolds = new Map<number, Holding[]>();
  /** Nodes were put or removed since layouts and quotas were brought up to date. */
  capacityChanged = true;
  /** Jobs that hold something. */
  readonly holding = new Holders((job) => spansZones(this, job));
  /** Jobs whose places are kept until others have left them. */
  readonly reserved = new Set<JobRecord>();
  readonly leaving: Leaving;
  readonly recovering = new Set<JobRecord>();
  readonly running = new RunningJobs();
  readonly dated = new DatedReservations(this);
  readonly estimates = new Estimates(this);
  readonly learned = new Learned();
  readonly empty = new EmptyCluster(this);
  readonly scarcity = new Scarcity();
  readonly service = new Service();
  readonly windows = new Map<string, WindowInput>();
  /** The next instant at which a protected job may be evicted that somebody could use. */
  protectedUntil = Infinity;
  now = 0;
  cycles = 0;
  waiting = 0;
  /** Units that searches for victims have tried to take in this cycle. */
  tried = 0;
  /** More lanes are blocked than one cycle can search victims for. */
  crowded = false;
  readonly requests = new Requests();
  /** When jobs that are kept out of their lanes may join them. */
  readonly timers = new Heap<{ at: number; job: JobRecord }>((a, b) => a.at < b.at);
  #leads = new WeakMap<Request, Usage>();
  #leadsOf = -1;

  constructor(options: ClusterOptions = {}) {
    this.levels = new Levels(options.levels);
    this.placer = new Placer(this.levels);
    this.leaving = new Leaving(this.placer.nodes);
    this.policy = mergePolicy(DEFAULT_POLICY, options.policy ?? {});
    this.quota.unassigned = this.policy.unassignedCapacity;
  }

  setPolicy(change: Partial<Policy>): void {
    this.policy = mergePolicy(this.policy, change);
    this.quota.unassigned = this.policy.unassignedCapacity;
    this.quota.invalidate();
    this.dated.limit();
    this.empty.version++;
    // What was turned down by what held before is looked at again.
    this.placer.epoch++;
  }

  /** Brings layouts and quotas up to date; before any decision. */
  settle(): void {
    if (this.capacityChanged) {
      this.placer.layout();
      this.holding.relaid();
    }
    const { nodes } = this.placer;
    const sum =
      (column: Float64Array) =>
      (p: { members: Set<number> }): number => {
        let total = 0;
        for (const slot of p.members) total += column[slot]!;
        return total;
      };
    if (this.capacityChanged) {
      for (const partition of this.placer.partitions) partition.recountDevices(nodes);
      this.service.setClusterDevices(this.placer.partitions.reduce((total, partition) => total + partition.totalDevices, 0));
    }
    this.quota.settle(this.placer.partitions, sum(nodes.cpu), sum(nodes.memory), this.capacityChanged);
    this.capacityChanged = false;
  }

  /** What a request would use in the place it prefers; kept until pools or what quota counts change. */
  leadUsage(request: Request): Usage {
    if (this.#leadsOf !== this.quota.structure) {
      this.#leads = new WeakMap();
      this.#leadsOf = this.quota.structure;
    }
    let usage = this.#leads.get(request);
    if (usage === undefined) {
      usage = this.quota.usageOf(
        request.variants[0]!.roles.flatMap((role) => {
          const partition = this.placer.matching(request.variants[0]!, role)[0];
          return partition === undefined ? [] : [{ partition, shape: role.shape, members: role.min }];
        }),
      );
      this.#leads.set(request, usage);
    }
    return usage;
  }

  get(id: string): JobRecord {
    const job = this.jobs.get(id);
    if (job === undefined) throw new Error(`job ${id}: not known`);
    return job;
  }

  /** What started in a cycle is not stopped in the same one, whatever the policy. */
  get protectedRuntime(): number {
    return Math.max(1, this.policy.protectedRuntimeMs);
  }

  /** Whether a queue runs anything up to a priority that is no longer protected; if not, notes when that will be so. */
  anyUnprotected(running: RunningOfQueue, most: number): boolean {
    const until = running.oldestStart(most) + this.protectedRuntime;
    if (until > this.now) this.protectedUntil = Math.min(this.protectedUntil, until);
    return until <= this.now;
  }

  /** Jobs whose time has come join their lanes. */
  advance(now: number): void {
    if (now < this.now) throw new Error(`time went back from ${this.now} to ${now}`);
    for (const window of this.windows.values()) if (window.end > this.now && window.end <= now) this.placer.epoch++;
    this.countUse(now);
    this.now = now;
    this.protectedUntil = Infinity;
    for (let due = this.timers.peek(); due !== undefined && due.at <= now; due = this.timers.peek()) {
      this.timers.pop();
      if (this.jobs.get(due.job.input.id) === due.job && due.job.entry === null) enqueue(this, due.job);
    }
  }

  /** The next instant at which time alone may change a decision. */
  wakeAt(turn: number): number | null {
    let next = Math.min(this.timers.peek()?.at ?? Infinity, this.protectedUntil, turn);
    for (const window of this.windows.values()) if (window.end > this.now) next = Math.min(next, window.end);
    return next === Infinity ? null : next;
  }

  /** Part of the cluster that a queue used lately over its weight, with half of it forgotten every half-life. */
  pastUse(queue: QueueNode): number {
    return this.policy.usageHalfLifeMs > 0 ? queue.past / queue.weight : 0;
  }

  /** Counts what queues hold as used up to an instant: of all before they are compared, and of those whose use changes between two cycles. */
  countUse(now: number, queues: Iterable<QueueNode> = this.quota.queues.values()): void {
    const halfLife = this.policy.usageHalfLifeMs;
    if (halfLife === 0) return;
    for (const queue of queues) {
      if (now <= queue.pastAt) continue;
      const keep = 2 ** (-(now - queue.pastAt) / halfLife);
      let use = 0;
      for (const d of this.quota.counted) use = Math.max(use, (queue.held[d] ?? 0) / Math.max(1, this.quota.capacity(d)));
      queue.past = queue.past * keep + use * (1 - keep);
      queue.pastAt = now;
    }
  }

  blockOf(partition: Partition, slot: number, level: number): number {
    let block = this.placer.nodes.position[slot]!;
    for (let l = 0; l < level; l++) block = partition.levels[l]!.parent[block]!;
    return block;
  }

  setReason(job: JobRecord, reason: JobRecord["reason"]): void {
    if (job.reason === reason) return;
    job.reason = reason;
    job.reasonSince = this.now;
  }
}
