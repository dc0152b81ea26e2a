import type { CycleResult, DisruptionCause, Start } from "@muster/placement";
import { commitStarts, commitStops, sqlState, type Lease, type NewAttempt, type Pool, type SchedulerStop } from "@muster/store";
import type { Logger } from "pino";
import type { Changes } from "./follow.ts";
import type { Mirror } from "./mirror.ts";

/** Workers opened in one transaction, but for a job that has more by itself: the first starts of a large cycle don't wait for its last. */
const WORKERS_AT_ONCE = 256;
/** Before a job is tried again whose start the database refused for what it would over-commit, once and again; milliseconds. */
const TAKEN_FOR = 1000;
const REFUSED_FOR = 5000;

export interface Committed {
  starts: number;
  workers: number;
  dropped: number;
  /** Starts whose place turned out to be taken: looked at again when others' changes were read. */
  taken: number;
  /** Starts that would have over-committed something, once more after what others had taken was read: what is in memory differs from what is stored. */
  refused: number;
  stops: number;
}

/** Makes the decisions of a cycle durable, and takes back in the mirror what could not be. */
export class DecisionWriter {
  readonly #pool: Pool;
  readonly #lease: Lease;
  readonly #holder: string;
  readonly #mirror: Mirror;
  readonly #logger: Logger;
  readonly #now: () => number;
  /** Jobs whose last start was refused. */
  readonly #refused = new Set<string>();

  constructor(options: { pool: Pool; lease: Lease; holder: string; mirror: Mirror; logger: Logger; now: () => number }) {
    this.#pool = options.pool;
    this.#lease = options.lease;
    this.#holder = options.holder;
    this.#mirror = options.mirror;
    this.#logger = options.logger;
    this.#now = options.now;
  }

  /** @param changes takes the keys of what turned out to be otherwise than thought */
  async commit(result: CycleResult, changes: Changes): Promise<Committed> {
    const committed: Committed = { starts: 0, workers: 0, dropped: 0, taken: 0, refused: 0, stops: 0 };
    committed.stops = await this.#stop(stopsOf(result), changes);
    for (const batch of batches(result.starts)) await this.#start(batch, changes, committed);
    return committed;
  }

  async #start(starts: readonly Start[], changes: Changes, committed: Committed): Promise<void> {
    const attempts = starts.map((start) => this.#attempt(start));
    const undo = (start: Start, notBefore = 0): void => {
      this.#mirror.undo(start.job, notBefore);
      changes.jobs.add(start.job);
      committed.dropped++;
    };
    try {
      const { opened, closedNodes } = await commitStarts(this.#pool, this.#lease, this.#holder, attempts);
      if (closedNodes.length > 0) {
        for (const name of closedNodes) changes.nodes.add(name);
        const closed = new Set(closedNodes);
        const touches = (start: Start): boolean => start.members.some((member) => closed.has(member.node));
        for (const start of starts.filter(touches)) undo(start);
        const rest = starts.filter((start) => !touches(start));
        if (rest.length > 0 && rest.length < starts.length) await this.#start(rest, changes, committed);
        else for (const start of rest) undo(start);
        return;
      }
      for (const [index, start] of starts.entries()) {
        const at = opened.get(start.job);
        const attempt = attempts[index];
        if (!at || !attempt) {
          undo(start);
          continue;
        }
        this.#refused.delete(start.job);
        this.#mirror.opened(start, at, attempt.rendezvous);
        committed.starts++;
        committed.workers += start.members.length;
      }
    } catch (error) {
      const state = sqlState(error);
      if (state !== undefined && RETRIED.has(state)) {
        for (const start of starts) undo(start);
      } else if (state !== undefined && REFUSED.has(state)) {
        if (starts.length > 1) {
          for (const start of starts) await this.#start([start], changes, committed);
          return;
        }
        const [start] = starts;
        if (!start) return;
        // a job that came back with a replacement may just have taken it, which the feed tells next
        if (!this.#refused.has(start.job)) {
          this.#refused.add(start.job);
          this.#logger.warn({ err: error, job: start.job }, "what a start was to have is taken; looking again");
          undo(start, this.#now() + TAKEN_FOR);
          committed.taken++;
          return;
        }
        this.#logger.error({ err: error, job: start.job }, "the database refused a start");
        undo(start, this.#now() + REFUSED_FOR);
        committed.refused++;
      } else throw error;
    } finally {
      for (const attempt of attempts) this.#mirror.releaseUnused(attempt.job, attempt.rendezvous);
    }
  }

  #attempt(start: Start): NewAttempt {
    const job = this.#mirror.jobs.get(start.job);
    if (!job) throw new Error(`job ${start.job}: was started without being known`);
    const ranks = job.spec.ranksPerNode[start.variant] ?? {};
    const first = start.members[0];
    const address = (first && this.#mirror.nodes.get(first.node)?.address) ?? "127.0.0.1";
    const port = this.#mirror.ports.choose(address, start.job, job.row.attempt + 1);
    // taken at once, so that the next start of the batch gets another
    this.#mirror.ports.take(address, port);
    return {
      job: start.job,
      expected: { attempt: job.row.attempt, version: job.row.version },
      variant: start.variant,
      rendezvous: { address, port },
      workers: start.members.map((member) => ({
        role: member.role,
        nodeRank: member.rank,
        firstRank: member.rank * (ranks[member.role] ?? 1),
        ranks: ranks[member.role] ?? 1,
        node: member.node,
        shard: this.#mirror.nodes.get(member.node)?.shard ?? "",
        devices: member.devices,
        // a member without devices holds none; the column still wants a share of something
        share: member.share > 0 ? member.share : 1000,
        cpus: member.cpuMillis,
        memory: member.memoryBytes,
      })),
      why: job.row.attempt === 0 ? "its turn came and it fits" : "it starts again",
      locality: Math.round(start.locality * 1000) / 1000,
    };
  }

  async #stop(stops: readonly SchedulerStop[], changes: Changes): Promise<number> {
    if (stops.length === 0) return 0;
    const done = await commitStops(this.#pool, this.#lease, this.#holder, stops);
    for (const stop of stops) changes.jobs.add(stop.job);
    for (const stop of stops) {
      if (done.has(stop.job)) continue;
      this.#logger.info({ job: stop.job, rule: stop.cause.rule }, "not stopped: it changed meanwhile");
      this.#mirror.undo(stop.job);
    }
    return done.size;
  }
}

/** Deadlock, serialization failure, lock timeout: the same again may well succeed. */
const RETRIED = new Set(["40P01", "40001", "55P03"]);
/** What the constraints say when more would be assigned than there is, or not to the current attempt. */
const REFUSED = new Set(["MU002", "MU004", "MU006", "MU007", "23514", "23505", "23503"]);

function* batches(starts: readonly Start[]): Generator<Start[]> {
  let batch: Start[] = [];
  let workers = 0;
  for (const start of starts) {
    if (batch.length > 0 && workers + start.members.length > WORKERS_AT_ONCE) {
      yield batch;
      batch = [];
      workers = 0;
    }
    batch.push(start);
    workers += start.members.length;
  }
  if (batch.length > 0) yield batch;
}

function stopsOf(result: CycleResult): SchedulerStop[] {
  const cause = (one: DisruptionCause | undefined): SchedulerStop["cause"] => ({
    by: "scheduler",
    rule: one?.kind ?? "elastic",
    for: one?.forJob ?? "",
    message: one?.message ?? "another size is better",
  });
  const stops = new Map<string, SchedulerStop>();
  for (const one of [...result.evictions, ...result.moves])
    stops.set(one.job, { job: one.job, event: "preempted", cause: cause(one.cause), grace: one.graceMs / 1000 });
  for (const one of [...result.shrinks, ...result.grows]) {
    if (!stops.has(one.job)) stops.set(one.job, { job: one.job, event: "resized", cause: cause(one.cause), grace: 0 });
  }
  return [...stops.values()];
}
