import { gateOf, type JobRecord } from "./jobs.ts";
import { DatedReservations } from "./dated.ts";
import { Estimates } from "./estimates.ts";
import { Holders } from "./holders.ts";
import { Learned } from "./learned.ts";
import { Leaving } from "./leaving.ts";
import { Levels } from "./levels.ts";
import { Placer, type Charge, type Placement } from "./placer.ts";
import type { Partition } from "./partition.ts";
import { DEFAULT_POLICY, mergePolicy } from "./policy.ts";
import { QuotaTree, type QueueNode, type Usage } from "./quota.ts";
import { RunningJobs } from "./running.ts";
import { placementOf } from "./restore.ts";
import { requestKey, resolveRequest, type Request } from "./request.ts";
import { spansZones } from "./preference.ts";
import { Scarcity } from "./scarcity.ts";
import { Service } from "./service.ts";
import type { ClusterOptions, JobInput, MemberPlacement, NodeInput, Policy, QueueInput, RunningJob, Start, WindowInput } from "./types.ts";
import type { Unit } from "./victims.ts";
import { Heap, Lane } from "./waiting.ts";
import { WHOLE, type Holding } from "./nodes.ts";

interface SharedRequest {
  request: Request;
  jobs: number;
}

/** Everything the engine knows, and the single steps by which it changes. */
export class State {
  readonly levels: Levels;
  readonly placer: Placer;
  readonly quota = new QuotaTree();
  policy: Policy;
  readonly jobs = new Map<string, JobRecord>();
  /** Lanes with waiting jobs, by queue. */
  readonly lanes = new Map<QueueNode, Map<Request, Lane>>();
  readonly jobsOfQueue = new Map<QueueNode, Set<JobRecord>>();
  /** Nodes as they were last put. */
  readonly nodeInputs = new Map<string, NodeInput>();
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
  readonly scarcity = new Scarcity();
  readonly service = new Service();
  readonly windows = new Map<string, WindowInput>();
  readonly unitCache = new Map<QueueNode, { stamp: string; units: readonly Unit[] }>();
  /** The next instant at which a protected job may be evicted that somebody could use. */
  protectedUntil = Infinity;
  now = 0;
  cycles = 0;
  waiting = 0;
  /** More lanes are blocked than one cycle can search victims for. */
  crowded = false;
  #sequence = 0;
  readonly #requests = new Map<string, SharedRequest>();
  readonly #timers = new Heap<{ at: number; job: JobRecord }>((a, b) => a.at < b.at);
  /** What nodes hold beside known jobs; counted among their members. */
  readonly #nodeHolds = new Map<number, Holding[]>();
  #capacityChanged = true;
  readonly #leads = new Map<Request, Usage>();
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
  }

  putNode(input: NodeInput): void {
    const at = `node ${input.id}`;
    const whole = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
    if (!whole(input.devices) || input.devices > 4096) throw new Error(`${at}: devices must be 0 to 4096`);
    if (!(input.cpuMillis >= 0) || !(input.memoryBytes >= 0)) throw new Error(`${at}: cpuMillis and memoryBytes must be 0 or more`);
    const { nodes } = this.placer;
    const known = nodes.names.find(input.id);
    if (known >= 0) for (const hold of this.#nodeHolds.get(known) ?? []) nodes.give(hold);
    if (known >= 0 && nodes.members[known]! > 0 && input.devices < nodes.deviceCount[known]!) {
      throw new Error(`${at}: cannot lose devices while jobs hold some; hold the missing ones instead`);
    }
    this.placer.putNode(input);
    const slot = nodes.names.find(input.id);
    const holds: Holding[] = [];
    for (const [device, share] of (input.heldDevices ?? []).entries()) {
      if (device >= input.devices || !whole(share) || share > WHOLE) throw new Error(`${at}: heldDevices[${device}] must be 0 to 1000 of a device it has`);
      if (share > 0) holds.push({ node: slot, devices: [device], share, cpuMillis: 0, memoryBytes: 0 });
    }
    if ((input.heldCpuMillis ?? 0) > 0 || (input.heldMemoryBytes ?? 0) > 0) {
      holds.push({ node: slot, devices: [], share: 0, cpuMillis: input.heldCpuMillis ?? 0, memoryBytes: input.heldMemoryBytes ?? 0 });
    }
    for (const hold of holds) nodes.take(hold);
    this.#nodeHolds.set(slot, holds);
    this.nodeInputs.set(input.id, input);
    this.#capacityChanged = true;
  }

  removeNode(id: string): void {
    const { nodes } = this.placer;
    const slot = nodes.names.find(id);
    if (slot < 0) throw new Error(`node ${id}: not known`);
    if (nodes.members[slot]! > (this.#nodeHolds.get(slot)?.length ?? 0)) throw new Error(`node ${id}: still holds members of a job`);
    for (const hold of this.#nodeHolds.get(slot) ?? []) nodes.give(hold);
    this.#nodeHolds.delete(slot);
    this.nodeInputs.delete(id);
    this.placer.removeNode(id);
    this.#capacityChanged = true;
  }

  putQueue(input: QueueInput): void {
    const queue = this.quota.put(input);
    if (!this.lanes.has(queue)) {
      this.lanes.set(queue, new Map());
      this.jobsOfQueue.set(queue, new Set());
    }
    // Pausing and moving change what its jobs, and those below it, wait for.
    for (const [other, jobs] of this.jobsOfQueue) if (isBelow(other, queue)) for (const job of jobs) this.#enqueue(job);
  }

  removeQueue(id: string): void {
    const queue = this.quota.queues.get(id);
    if (queue !== undefined && this.jobsOfQueue.get(queue)!.size > 0) throw new Error(`queue ${id}: still has jobs`);
    this.quota.remove(id);
    this.lanes.delete(queue!);
    this.jobsOfQueue.delete(queue!);
    this.running.forget(queue!);
    this.unitCache.delete(queue!);
    this.service.forget(queue!);
  }

  /** Brings layouts and quotas up to date; before any decision. */
  settle(): void {
    if (this.#capacityChanged) {
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
    if (this.#capacityChanged) {
      for (const partition of this.placer.partitions) partition.recountDevices(nodes);
      this.service.setClusterDevices(this.placer.partitions.reduce((total, partition) => total + partition.totalDevices, 0));
    }
    this.quota.settle(this.placer.partitions, sum(nodes.cpu), sum(nodes.memory), this.#capacityChanged);
    this.#capacityChanged = false;
  }

  /** What a request would use in the place it prefers; kept until pools or what quota counts change. */
  leadUsage(request: Request): Usage {
    if (this.#leadsOf !== this.quota.structure) {
      this.#leads.clear();
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

  /** Makes a record without letting it wait anywhere. */
  makeRecord(input: JobInput): JobRecord {
    const queue = this.quota.queues.get(input.queue);
    if (queue === undefined) throw new Error(`job ${input.id}: queue "${input.queue}" is not known`);
    const named = [...this.windows.values()].filter((window) => window.jobs?.includes(input.id) === true).map((window) => window.id);
    const key = requestKey(input, named, this.learned.quantile(input.jobClass, 0.5));
    let shared = this.#requests.get(key);
    if (shared === undefined) shared = { request: resolveRequest(input, this.levels, key), jobs: 0 };
    const record: JobRecord = {
      input,
      sequence: ++this.#sequence,
      queue,
      request: shared.request,
      state: "waiting",
      entry: null,
      placement: null,
      usage: [],
      startedAt: 0,
      need: 0,
      lastCheckpointAt: 0,
      stoppingFor: null,
      leaving: null,
      awaits: new Set(),
      larger: null,
      resized: false,
      grownFrom: null,
      lost: new Map(),
      estimate: null,
      reason: "pending_evaluation",
      reasonSince: this.now,
      evaluatedAt: 0,
    };
    record.need = this.service.key(record, this.now);
    return record;
  }

  /** What all known jobs ask, and how many ask it. */
  requests(): Iterable<{ request: Request; jobs: number }> {
    return this.#requests.values();
  }

  submit(input: JobInput): void {
    if (this.jobs.has(input.id)) throw new Error(`job ${input.id}: already known`);
    const job = this.makeRecord(input);
    this.#retain(job.request);
    this.jobs.set(input.id, job);
    this.jobsOfQueue.get(job.queue)!.add(job);
    this.waiting++;
    this.placer.observe(job.request);
    this.#enqueue(job);
  }

  updateJob(input: JobInput): void {
    const job = this.get(input.id);
    const fresh = this.makeRecord(input);
    this.#dequeue(job);
    this.#retain(fresh.request);
    this.#release(job.request);
    if (fresh.queue !== job.queue) {
      this.jobsOfQueue.get(job.queue)!.delete(job);
      this.jobsOfQueue.get(fresh.queue)!.add(job);
      if (job.state === "running") this.running.remove(job);
      if (job.usage.length > 0) {
        this.quota.refund(job.queue, job.usage);
        this.quota.charge(fresh.queue, job.usage);
      }
    }
    if (job.state === "running") this.running.remove(job);
    job.input = input;
    job.queue = fresh.queue;
    if (job.state === "running") this.running.add(job, this.learned);
    job.request = fresh.request;
    this.#enqueue(job);
  }

  removeJob(id: string): void {
    const job = this.get(id);
    this.#dequeue(job);
    this.vacate(job);
    if (job.leaving !== null) this.left(job);
    if (job.state === "waiting") this.waiting--;
    this.jobsOfQueue.get(job.queue)!.delete(job);
    this.#release(job.request);
    this.jobs.delete(id);
  }

  get(id: string): JobRecord {
    const job = this.jobs.get(id);
    if (job === undefined) throw new Error(`job ${id}: not known`);
    return job;
  }

  /**
   * A waiting job holds these places, which are taken already. It runs at once, or is `reserved` while others are
   * still leaving them, or while the victims given are.
   */
  occupy(job: JobRecord, placement: Placement, at: number, victims: Iterable<JobRecord> = []): void {
    this.#dequeue(job);
    if (job.state === "waiting") this.waiting--;
    job.placement = placement;
    job.usage = this.quota.usageOf(chargesOf(placement));
    this.quota.charge(job.queue, job.usage);
    this.holding.add(job);
    job.awaits = this.leaving.awaitedBy(placement);
    for (const victim of victims) job.awaits.add(victim);
    if (job.awaits.size > 0) {
      job.state = "reserved";
      this.reserved.add(job);
      this.setReason(job, "waiting_for_preemption");
    } else {
      this.run(job, at);
    }
  }

  run(job: JobRecord, at: number): void {
    this.reserved.delete(job);
    job.startedAt = at;
    job.state = "running";
    this.running.add(job, this.learned);
    job.lastCheckpointAt = at;
  }

  /** Frees all that the job holds, and leaves it where it is otherwise. */
  vacate(job: JobRecord): void {
    if (job.usage.length > 0) this.quota.refund(job.queue, job.usage);
    job.usage = [];
    if (job.placement !== null) this.placer.give(job.placement);
    job.placement = null;
    this.holding.delete(job);
    this.reserved.delete(job);
    this.running.remove(job);
    this.recovering.delete(job);
    job.resized = false;
    job.grownFrom = null;
    job.lost.clear();
    job.awaits.clear();
  }

  /** Members of a running gang are lost; the others hold their places until the gang is whole again. */
  loseMembers(job: JobRecord, lost: readonly { role: string; rank: number }[]): void {
    if (job.state !== "running") throw new Error(`job ${job.input.id}: is not running`);
    this.dropMembers(job, lost);
    for (const { role, rank } of lost)
      job.lost.set(
        role,
        [...(job.lost.get(role) ?? []), rank].sort((a, b) => a - b),
      );
    this.running.remove(job);
    job.state = "recovering";
    this.recovering.add(job);
  }

  /** What started in a cycle is not stopped in the same one, whatever the policy. */
  get protectedRuntime(): number {
    return Math.max(1, this.policy.protectedRuntimeMs);
  }

  /** Whether a queue runs anything that is no longer protected; if not, notes when that will be so. */
  anyUnprotected(queue: QueueNode): boolean {
    const until = this.running.oldestStart(queue) + this.protectedRuntime;
    if (until > this.now) this.protectedUntil = Math.min(this.protectedUntil, until);
    return until <= this.now;
  }

  /** A running job must go: its places count as free from now on, for those who await its leaving. */
  evict(job: JobRecord, forJob: string): void {
    const placement = job.placement!;
    this.vacate(job);
    job.state = "stopping";
    job.stoppingFor = forJob;
    job.leaving = placement;
    this.leaving.add(job);
  }

  /** An eviction, move or shrink that was not committed: the job runs where it ran. */
  unevict(job: JobRecord): void {
    const before = job.leaving!;
    for (const other of this.reserved) if (other !== job && other.awaits.has(job)) this.requeue(other);
    const back = job.larger ?? before;
    this.vacate(job);
    this.left(job);
    job.placement = back;
    this.placer.take(job.placement);
    job.state = "running";
    this.running.add(job, this.learned);
    job.usage = this.quota.usageOf(chargesOf(job.placement));
    this.quota.charge(job.queue, job.usage);
    this.holding.add(job);
  }

  /** A growth that was not committed: the added members go again. */
  ungrow(job: JobRecord, { members, startedAt }: NonNullable<JobRecord["grownFrom"]>): void {
    const { role, members: all } = job.placement!.roles[0]!;
    this.dropMembers(
      job,
      all.slice(members).map((_, i) => ({ role: role.name, rank: members + i })),
    );
    job.resized = false;
    job.grownFrom = null;
    this.running.remove(job);
    job.startedAt = startedAt;
    this.running.add(job, this.learned);
  }

  /** The workers of a stopping, moving or shrinking job have left. */
  left(job: JobRecord): void {
    this.leaving.remove(job);
    job.leaving = null;
    job.larger = null;
    job.stoppingFor = null;
    for (const other of this.reserved) other.awaits.delete(job);
  }

  /** Workers of a job are confirmed dead: it waits again, or starts in the place kept for it. */
  release(job: JobRecord): void {
    const { state, resized } = job;
    if (job.leaving !== null) this.left(job);
    else if (!resized) {
      this.requeue(job);
      return;
    }
    if (state === "stopping") this.requeue(job);
    else if (state === "running") {
      // At its new size it starts where it is.
      job.resized = false;
      job.grownFrom = null;
      this.running.remove(job);
      job.state = "reserved";
      this.reserved.add(job);
    }
  }

  /** These members must go; the others keep their places and close ranks. Its places count as free from now on. */
  shrink(job: JobRecord, going: readonly { role: string; rank: number }[], forJob: string): void {
    const { variant, roles } = job.placement!;
    const before = roles.map(({ role, partition, members }) => ({ role, partition, members: [...members] }));
    this.dropMembers(job, going);
    const leaving = before.map(({ role, partition, members }, i) => ({
      role,
      partition,
      members: members.filter((member) => !roles[i]!.members.includes(member)),
    }));
    job.larger = { variant, roles: before };
    job.leaving = { variant, roles: leaving.filter((placed) => placed.members.length > 0) };
    job.stoppingFor = forJob;
    this.leaving.add(job);
    job.resized = true;
  }

  /** Some members of a gang are gone; the others keep their places and close ranks. */
  dropMembers(job: JobRecord, gone: readonly { role: string; rank: number }[]): void {
    this.running.changed(job.queue);
    if (job.placement === null) throw new Error(`job ${job.input.id}: holds no places`);
    const { nodes } = this.placer;
    for (const { role, partition, members } of job.placement.roles) {
      const ranks = new Set(gone.filter((member) => member.role === role.name).map((member) => member.rank));
      if (ranks.size === 0) continue;
      for (const rank of ranks) {
        const member = members[rank];
        if (member === undefined) throw new Error(`job ${job.input.id}: role "${role.name}" has no rank ${rank}`);
        nodes.give(member);
      }
      const left = members.filter((_, rank) => !ranks.has(rank));
      members.length = 0;
      members.push(...left);
      partition.freed++;
    }
    this.holding.add(job);
    this.quota.refund(job.queue, job.usage);
    job.usage = this.quota.usageOf(chargesOf(job.placement));
    this.quota.charge(job.queue, job.usage);
  }

  /** A job that held something waits again. */
  requeue(job: JobRecord): void {
    this.vacate(job);
    if (job.state !== "waiting") this.waiting++;
    job.state = "waiting";
    this.#enqueue(job);
  }

  restore(id: string, running: RunningJob): void {
    const job = this.get(id);
    if (job.state !== "waiting") throw new Error(`job ${id}: already holds places`);
    this.settle();
    const placement = placementOf(this.placer, job, running);
    this.placer.take(placement);
    this.occupy(job, placement, running.startedAt);
    job.lastCheckpointAt = running.lastCheckpointAt ?? running.startedAt;
    if (running.stoppingFor !== undefined) this.evict(job, running.stoppingFor);
  }

  /** Jobs whose time has come join their lanes. */
  advance(now: number): void {
    if (now < this.now) throw new Error(`time went back from ${this.now} to ${now}`);
    for (const window of this.windows.values()) if (window.end > this.now && window.end <= now) this.placer.epoch++;
    this.now = now;
    this.protectedUntil = Infinity;
    this.#decayUse();
    for (let due = this.#timers.peek(); due !== undefined && due.at <= now; due = this.#timers.peek()) {
      this.#timers.pop();
      if (this.jobs.get(due.job.input.id) === due.job && due.job.entry === null) this.#enqueue(due.job);
    }
  }

  /** The next instant at which time alone may change a decision. */
  wakeAt(turn: number): number | null {
    let next = Math.min(this.#timers.peek()?.at ?? Infinity, this.protectedUntil, turn);
    for (const window of this.windows.values()) if (window.end > this.now) next = Math.min(next, window.end);
    return next === Infinity ? null : next;
  }

  /** Part of the cluster that a queue used lately over its weight, with half of it forgotten every half-life. */
  pastUse(queue: QueueNode): number {
    return this.policy.usageHalfLifeMs > 0 ? queue.past / queue.weight : 0;
  }

  #decayUse(): void {
    const halfLife = this.policy.usageHalfLifeMs;
    if (halfLife === 0) return;
    for (const queue of this.quota.queues.values()) {
      const keep = 2 ** (-(this.now - queue.pastAt) / halfLife);
      let use = 0;
      for (const d of this.quota.counted) use = Math.max(use, (queue.held[d] ?? 0) / Math.max(1, this.quota.capacity(d)));
      queue.past = queue.past * keep + use * (1 - keep);
      queue.pastAt = this.now;
    }
  }

  blockOf(partition: Partition, slot: number, level: number): number {
    let block = this.placer.nodes.position[slot]!;
    for (let l = 0; l < level; l++) block = partition.levels[l]!.parent[block]!;
    return block;
  }

  startOf(job: JobRecord, locality: number): Start {
    const placement = job.placement!;
    return { job: job.input.id, variant: placement.variant.index, members: this.membersOf(placement), locality };
  }

  membersOf(placement: Placement): MemberPlacement[] {
    const { names } = this.placer.nodes;
    return placement.roles.flatMap(({ role, members }) =>
      members.map((member, rank) => ({
        role: role.name,
        rank,
        node: names.name(member.node),
        devices: member.devices,
        share: member.share,
        cpuMillis: member.cpuMillis,
        memoryBytes: member.memoryBytes,
      })),
    );
  }

  #enqueue(job: JobRecord): void {
    this.#dequeue(job);
    if (job.state !== "waiting") return;
    const gate = gateOf(job, this.now);
    if (gate !== null) {
      this.setReason(job, gate.reason);
      if (gate.until !== null) this.#timers.push({ at: gate.until, job });
      return;
    }
    this.setReason(job, "pending_evaluation");
    job.need = this.service.key(job, this.now);
    const lanes = this.lanes.get(job.queue)!;
    let lane = lanes.get(job.request);
    if (lane === undefined) {
      lane = new Lane(job.queue, job.request);
      lanes.set(job.request, lane);
    }
    lane.add(job);
  }

  #dequeue(job: JobRecord): void {
    const lane = job.entry?.lane;
    if (lane === undefined) return;
    lane.remove(job);
    if (lane.size === 0) this.lanes.get(lane.queue)!.delete(lane.request);
  }

  setReason(job: JobRecord, reason: JobRecord["reason"]): void {
    if (job.reason === reason) return;
    job.reason = reason;
    job.reasonSince = this.now;
  }

  #retain(request: Request): void {
    const shared = this.#requests.get(request.key) ?? { request, jobs: 0 };
    shared.jobs++;
    this.#requests.set(request.key, shared);
  }

  #release(request: Request): void {
    const shared = this.#requests.get(request.key)!;
    if (--shared.jobs > 0) return;
    this.#requests.delete(request.key);
    this.#leads.delete(shared.request);
  }
}

export function chargesOf(placement: Placement): Charge[] {
  return placement.roles.map(({ partition, role, members }) => ({ partition, shape: role.shape, members: members.length }));
}

function isBelow(queue: QueueNode, ancestor: QueueNode): boolean {
  for (let up: QueueNode | null = queue; up !== null; up = up.parent) if (up === ancestor) return true;
  return false;
}
