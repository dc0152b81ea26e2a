import { commitReasons, type Lease, type NewReason, type Pool } from "@muster/store";
import type { Mirror, MirroredJob } from "./mirror.ts";

/** Least time between two writes, most reasons in one, and most time to find them; the times in milliseconds. */
const EVERY = 1000;
const AT_ONCE = 500;
const BUDGET = 10;

/**
 * Keeps the reasons stored with waiting jobs up to date, a bounded number at a time: those of jobs that changed first, then
 * all others in turn. What is asked of one job is always answered from the engine, not from here.
 */
export class ReasonWriter {
  readonly #pool: Pool;
  readonly #lease: Lease;
  readonly #holder: string;
  readonly #mirror: Mirror;
  readonly #now: () => number;
  #round: Iterator<MirroredJob> | undefined;
  #wroteAt = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: { pool: Pool; lease: Lease; holder: string; mirror: Mirror; now: () => number }) {
    this.#pool = options.pool;
    this.#lease = options.lease;
    this.#holder = options.holder;
    this.#mirror = options.mirror;
    this.#now = options.now;
  }

  /** Milliseconds until jobs that changed are to be looked at. */
  dueIn(): number {
    return this.#mirror.touched.size === 0 ? Number.POSITIVE_INFINITY : Math.max(1, this.#wroteAt + EVERY - this.#now());
  }

  /** Decisions don't wait for the write; whether it failed is told by the next call. */
  async write(): Promise<void> {
    const now = this.#now();
    if (now - this.#wroteAt < EVERY) return;
    await this.#writing;
    this.#wroteAt = now;
    const found = this.#changed();
    if (found.length === 0) return;
    this.#writing = this.#commit(found);
    this.#writing.catch(() => {});
  }

  async #commit(found: readonly NewReason[]): Promise<void> {
    await commitReasons(this.#pool, this.#lease, this.#holder, found);
    for (const one of found) {
      const job = this.#mirror.jobs.get(one.job);
      if (job && job.running === null) job.row = { ...job.row, wait_reason: one.reason, wait_since: new Date(one.since) };
    }
  }

  #changed(): NewReason[] {
    const until = performance.now() + BUDGET;
    const found: NewReason[] = [];
    const { touched, jobs } = this.#mirror;
    for (const id of touched) {
      if (found.length >= AT_ONCE || performance.now() > until) return found;
      touched.delete(id);
      this.#look(jobs.get(id), found);
    }
    for (let looked = 0; looked < jobs.size && found.length < AT_ONCE && performance.now() < until; looked++) {
      this.#round ??= jobs.values();
      const next = this.#round.next();
      if (next.done) this.#round = undefined;
      else this.#look(next.value, found);
    }
    return found;
  }

  #look(job: MirroredJob | undefined, found: NewReason[]): void {
    if (!job || job.running !== null || (job.row.state !== "queued" && job.row.state !== "held")) return;
    const reason = this.#mirror.engine.waitReason(job.row.id);
    if (reason !== job.row.wait_reason) found.push({ job: job.row.id, reason, since: this.#now() });
  }
}
