import { createEngine, type PlacementEngine, type RunningJob, type Start } from "@muster/placement";
import {
  classOf,
  queueInput,
  specInput,
  type FinishedRunRow,
  type HoldingRow,
  type NodeRow,
  type PoolRow,
  type QueueRow,
  type SchedulingJobRow,
  type SpecInput,
  type WindowRow,
} from "@muster/store";
import { ACTIVE_JOB_STATES, type JobState, type ResolvedJobSpec } from "@muster/model";
import { ArrayLimits } from "./array-limits.ts";
import { jobInput, mayUseSpares, nodeInput, poolInput, refusedInput, windowInput, type Leftover } from "./engine-inputs.ts";
import { Ports } from "./ports.ts";

/** A job as the engine was last told of it. */
export interface MirroredJob {
  row: SchedulingJobRow;
  spec: SpecInput;
  /** What the engine was last told of it, so that it is not told the same again; null where it does not know it. */
  told: string | null;
  /** Names what it holds in the engine; null where it holds nothing. */
  running: string | null;
  leftovers: Leftover[];
  rendezvous: { address: string; port: number } | null;
  /** Not to be started before, as its last start could not be committed. */
  notBefore: number;
}

/** What one job's rows are, read together. */
export interface JobTruth {
  row: SchedulingJobRow;
  /** Present where the mirror does not know the job yet. */
  spec?: ResolvedJobSpec | undefined;
  /** Unreleased workers; present where `needsHoldings` said so. */
  holdings?: readonly HoldingRow[] | undefined;
  /** For whom it is being stopped. */
  stoppingFor?: string | undefined;
}

/**
 * The engine's state kept equal to the store's: whatever is put is the truth as last read, and putting the same again does
 * nothing, so it does not matter how often or why something is read.
 */
export class Mirror {
  readonly engine: PlacementEngine;
  readonly #now: () => number;
  readonly pools = new Map<string, PoolRow>();
  readonly nodes = new Map<string, NodeRow>();
  readonly queues = new Map<string, QueueRow>();
  readonly jobs = new Map<string, MirroredJob>();
  readonly ports = new Ports();
  readonly arrays = new ArrayLimits();
  /** Ids of jobs whose reason may have changed. */
  readonly touched = new Set<string>();
  /** Nodes held back as spares, in order; null: to be looked at again. */
  #spares: readonly string[] | null = [];
  readonly #specs = new Map<string, SpecInput>();
  readonly #inputs = new WeakMap<ResolvedJobSpec, SpecInput>();
  readonly #leftoversByNode = new Map<string, Map<string, Leftover[]>>();
  readonly #leaving = new Set<string>();
  readonly #nodeKeys = new Map<string, string>();
  readonly #queueKeys = new Map<string, string>();
  readonly #windowKeys = new Map<string, string>();
  #windows: readonly WindowRow[] = [];
  #windowsDue = false;

  /** @param now the database's clock, in milliseconds since the epoch. @param engine a new one */
  constructor(now: () => number, engine: PlacementEngine = createEngine()) {
    this.#now = now;
    this.engine = engine;
  }

  /** The whole truth about pools, which are few; nodes follow a pool that changed. */
  putPools(rows: readonly PoolRow[]): void {
    let changed = false;
    for (const row of rows) {
      if (JSON.stringify(this.pools.get(row.name)) === JSON.stringify(row)) continue;
      changed = true;
      this.pools.set(row.name, row);
      this.engine.putPool(poolInput(row));
    }
    if (!changed) return;
    this.putNodes([...this.nodes.values()]);
    this.putQueues([...this.queues.values()]);
  }

  /** Nodes as they are now. */
  putNodes(rows: readonly NodeRow[]): void {
    for (const row of rows) {
      const pool = this.pools.get(row.pool);
      if (!pool) throw new Error(`node ${row.name}: its pool ${row.pool} is not known`);
      const leftovers = [...(this.#leftoversByNode.get(row.name)?.values() ?? [])].flat();
      const input = nodeInput(row, pool, leftovers);
      const key = JSON.stringify(input);
      if ((this.nodes.get(row.name)?.spare ?? false) !== (row.spare ?? false)) this.#spares = null;
      this.nodes.set(row.name, row);
      this.#leaving.delete(row.name);
      if (this.#nodeKeys.get(row.name) === key) continue;
      this.engine.putNode(input);
      this.#windowsDue ||= this.#windows.length > 0;
      this.#nodeKeys.set(row.name, key);
    }
  }

  /** The node is gone from the store, or will be from the engine as soon as all that it held is. */
  removeNode(name: string): void {
    const row = this.nodes.get(name);
    if (!row) return;
    this.putNodes([{ ...row, health: "retired", health_reason: "removed", schedulable: false }]);
    this.#leaving.add(name);
  }

  /** The whole truth about queues: those that are missing are gone. */
  putQueues(rows: readonly QueueRow[]): void {
    const byName = new Map(rows.map((row) => [row.name, row]));
    const put = new Set<string>();
    const visit = (row: QueueRow): void => {
      if (put.has(row.name)) return;
      put.add(row.name);
      const parent = row.parent === null ? undefined : byName.get(row.parent);
      if (parent) visit(parent);
      const input = queueInput(row, this.pools.values());
      const key = JSON.stringify(input);
      this.queues.set(row.name, row);
      if (this.#queueKeys.get(row.name) === key) return;
      this.engine.putQueue(input);
      this.#queueKeys.set(row.name, key);
    };
    for (const row of rows) visit(row);
    const gone = [...this.queues.values()].filter((row) => !byName.has(row.name));
    const depth = (row: QueueRow): number => (row.parent !== null && this.queues.has(row.parent) ? 1 + depth(this.queues.get(row.parent) as QueueRow) : 0);
    for (const row of gone.sort((a, b) => depth(b) - depth(a))) {
      this.engine.removeQueue(row.name);
      this.queues.delete(row.name);
      this.#queueKeys.delete(row.name);
    }
  }

  /** The whole truth about windows that are not over. */
  putWindows(rows: readonly WindowRow[]): void {
    this.#windows = rows;
    this.#windowsDue = true;
  }

  /** Tells the engine of windows that changed, or whose nodes did. */
  #settleWindows(): void {
    if (!this.#windowsDue) return;
    this.#windowsDue = false;
    const gone = new Set(this.#windowKeys.keys());
    for (const row of this.#windows) {
      const input = windowInput(row, this.nodes.values());
      const key = JSON.stringify(input);
      gone.delete(row.name);
      if (this.#windowKeys.get(row.name) === key) continue;
      this.engine.putWindow(input);
      this.#windowKeys.set(row.name, key);
    }
    for (const name of gone) {
      this.engine.removeWindow(name);
      this.#windowKeys.delete(name);
    }
  }

  /** Whether the unreleased workers of a job must be read to know what it holds. */
  needsHoldings(row: SchedulingJobRow): boolean {
    if (row.held_now + row.held_before === 0) return false;
    const known = this.jobs.get(row.id);
    return !known || holdingKey(row) !== holdingKey(known.row);
  }

  putJob(truth: JobTruth): void {
    const { row } = truth;
    const known = this.jobs.get(row.id);
    const spec = known?.spec ?? (truth.spec && this.#intern(truth.spec));
    if (!spec) throw new Error(`job ${row.id}: its spec was not read`);
    const job: MirroredJob = known ?? { row, spec, told: null, running: null, leftovers: [], rendezvous: null, notBefore: 0 };
    const holdings = truth.holdings ?? [];
    const isCurrent = (holding: HoldingRow): boolean => isActive(row.state) && holding.incarnation === row.incarnation && holding.attempt === row.attempt;
    const sameHoldings = known !== undefined && holdingKey(row) === holdingKey(known.row);
    const members = holdings.filter((holding) => isCurrent(holding) && this.nodes.has(holding.node));
    const running = sameHoldings ? job.running : members.length > 0 ? holdingKey(row) : null;
    job.row = row;
    this.#putRendezvous(job);
    if (!sameHoldings)
      this.#putLeftovers(
        job,
        holdings.filter((holding) => !isCurrent(holding)),
      );
    if (row.finished_at !== null) {
      this.#end(job);
      if (job.leftovers.length > 0) this.jobs.set(row.id, job);
      else this.jobs.delete(row.id);
      return;
    }
    this.jobs.set(row.id, job);
    this.touched.add(row.id);
    this.#putInArray(job);
    this.#tell(job);
    if (job.running !== running) {
      if (job.running !== null) this.engine.released(row.id, this.#now());
      if (running !== null) this.#restore(job, members, truth.stoppingFor);
      job.running = running;
    }
    if (running !== null && row.checkpointed_at) this.engine.checkpointed(row.id, row.checkpointed_at.getTime());
  }

  removeJob(id: string): void {
    const job = this.jobs.get(id);
    if (!job) return;
    this.#putLeftovers(job, []);
    this.#end(job);
    this.jobs.delete(id);
  }

  /** Runs that ended before this mirror was made. */
  learn(rows: readonly FinishedRunRow[]): void {
    this.engine.learn(rows.map((row) => ({ jobClass: classOf(row.resolved), accelerator: row.accelerator, runTime: row.run_ms })));
  }

  /** A start was committed: the engine knows it already, the row follows. */
  opened(start: Start, at: { incarnation: string; attempt: number; version: number }, rendezvous: { address: string; port: number }): void {
    const job = this.jobs.get(start.job);
    if (!job) return;
    job.row = {
      ...job.row,
      state: "scheduled",
      incarnation: at.incarnation,
      attempt: at.attempt,
      version: at.version,
      variant: start.variant,
      held_now: start.members.length,
      held_before: job.leftovers.length,
      rendezvous_address: rendezvous.address,
      rendezvous_port: rendezvous.port,
      not_before: null,
      not_before_reason: null,
      wait_reason: null,
      wait_since: null,
      last_nodes: null,
    };
    job.running = holdingKey(job.row);
    // the next truth is told in any case: the variant may be fixed by now
    job.told = "";
    this.#putRendezvous(job);
    this.#putInArray(job);
  }

  /** A start could not be committed. */
  undo(id: string, notBefore = 0): void {
    const job = this.jobs.get(id);
    this.engine.undo(id);
    if (!job) return;
    job.notBefore = notBefore;
    if (notBefore > 0) this.#tell(job);
  }

  /** A port that was chosen for a start is free again, unless the job has it now. */
  releaseUnused(id: string, { address, port }: { address: string; port: number }): void {
    const now = this.jobs.get(id)?.rendezvous;
    if (now?.address !== address || now.port !== port) this.ports.give(address, port);
  }

  /** Whether the feed tells nothing new about a job by the start that this mirror was told of at once. */
  knowsAttempt(id: string, attempt: number): boolean {
    const job = this.jobs.get(id);
    return job !== undefined && job.running !== null && job.row.attempt === attempt;
  }

  /** After a batch of changes: what follows from them together. */
  settle(): void {
    if (this.#spares === null) this.#tellSpares();
    this.#settleWindows();
    for (const id of this.arrays.open()) {
      const job = this.jobs.get(id);
      if (!job || job.running !== null) continue;
      this.#tell(job);
      this.touched.add(id);
    }
    for (const name of this.#leaving) {
      try {
        this.engine.removeNode(name);
      } catch {
        continue; // something there is still held
      }
      this.#leaving.delete(name);
      if (this.nodes.get(name)?.spare) this.#spares = null;
      this.nodes.delete(name);
      this.#nodeKeys.delete(name);
    }
  }

  get spares(): readonly string[] {
    return this.#spares ?? [];
  }

  /** Jobs that may not use spares are told which those are now. */
  #tellSpares(): void {
    this.#spares = [...this.nodes.values()].flatMap(({ name, spare }) => (spare ? [name] : [])).sort();
    for (const job of this.jobs.values()) {
      if (mayUseSpares(job.row) || job.told === null || job.running !== null) continue;
      this.#tell(job);
      this.touched.add(job.row.id);
    }
  }

  #putInArray(job: MirroredJob): void {
    const { id, array_id: array, array_index: index, array_limit: limit, state, unmet_dependencies: unmet } = job.row;
    if (array === null || index === null || limit === null) return;
    if (isActive(state)) this.arrays.activate(id, array, index, limit);
    else if (state === "queued" && unmet === 0) this.arrays.wait(id, array, index, limit);
    else this.arrays.remove(id);
  }

  #tell(job: MirroredJob): void {
    const input = jobInput(job.row, job.spec, { arrayFull: !this.arrays.isOpen(job.row.id), notBefore: job.notBefore, spares: this.spares });
    const key = JSON.stringify(input);
    if (key === job.told) return;
    const submitted = job.told !== null;
    job.told = key;
    const put = (next: typeof input): void => (submitted ? this.engine.updateJob(next) : this.engine.submit(next));
    try {
      put(input);
    } catch (error) {
      put(refusedInput(input, error instanceof Error ? error.message : String(error)));
    }
  }

  #restore(job: MirroredJob, members: readonly HoldingRow[], stoppingFor: string | undefined): void {
    const running: RunningJob = {
      variant: job.row.variant ?? 0,
      startedAt: (job.row.attempt_started_at ?? job.row.submitted_at).getTime(),
      members: members.map((one) => ({
        role: one.role,
        rank: one.node_rank,
        node: one.node,
        devices: one.devices,
        share: one.share,
        cpuMillis: one.cpus,
        memoryBytes: one.memory,
      })),
      ...(stoppingFor !== undefined && { stoppingFor }),
    };
    this.engine.started(job.row.id, running);
  }

  #end(job: MirroredJob): void {
    const { id, state } = job.row;
    this.arrays.remove(id);
    this.touched.delete(id);
    if (job.rendezvous) this.ports.give(job.rendezvous.address, job.rendezvous.port);
    job.rendezvous = null;
    if (job.told === null) return;
    if (state === "succeeded") this.engine.finished(id, job.row.finished_at?.getTime() ?? this.#now());
    else this.engine.removeJob(id);
    job.told = null;
    job.running = null;
  }

  #putRendezvous(job: MirroredJob): void {
    const { rendezvous_address: address, rendezvous_port: port } = job.row;
    if (job.rendezvous && (job.rendezvous.address !== address || job.rendezvous.port !== port)) {
      this.ports.give(job.rendezvous.address, job.rendezvous.port);
      job.rendezvous = null;
    }
    if (address !== null && port !== null && !job.rendezvous) {
      this.ports.take(address, port);
      job.rendezvous = { address, port };
    }
  }

  #putLeftovers(job: MirroredJob, holdings: readonly HoldingRow[]): void {
    if (job.leftovers.length === 0 && holdings.length === 0) return;
    const nodes = new Set<string>();
    for (const left of job.leftovers) {
      this.#leftoversByNode.get(left.node)?.delete(job.row.id);
      nodes.add(left.node);
    }
    job.leftovers = holdings.map(({ node, devices, share, cpus, memory }) => ({ node, devices, share, cpus, memory }));
    for (const left of job.leftovers) {
      const ofNode = this.#leftoversByNode.get(left.node) ?? new Map<string, Leftover[]>();
      ofNode.set(job.row.id, [...(ofNode.get(job.row.id) ?? []), left]);
      this.#leftoversByNode.set(left.node, ofNode);
      nodes.add(left.node);
    }
    this.putNodes([...nodes].flatMap((name) => this.nodes.get(name) ?? []));
  }

  /** Elements of one array, and jobs alike, share one copy. */
  #intern(resolved: ResolvedJobSpec): SpecInput {
    const known = this.#inputs.get(resolved);
    if (known) return known;
    const spec = this.#shared(specInput(resolved));
    this.#inputs.set(resolved, spec);
    return spec;
  }

  #shared(spec: SpecInput): SpecInput {
    const key = JSON.stringify(spec);
    const shared = this.#specs.get(key);
    if (shared) return shared;
    if (this.#specs.size >= 10_000) this.#specs.clear();
    this.#specs.set(key, spec);
    return spec;
  }
}

export function isActive(state: JobState): boolean {
  return (ACTIVE_JOB_STATES as readonly JobState[]).includes(state);
}

/** Workers hold what they hold, and release it once: so this names the set of those that still do. */
function holdingKey(row: SchedulingJobRow): string {
  return `${row.incarnation}/${row.attempt}/${row.held_now}/${row.held_before}/${isActive(row.state) ? "active" : "waiting"}`;
}
