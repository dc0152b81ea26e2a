import { setTimeout as delay } from "node:timers/promises";
import {
  appendEvents,
  changeAttempts,
  changeJobs,
  listenForWakes,
  observationsAtOnce,
  readNews,
  releaseEnded,
  seenAll,
  together,
  transaction,
  Waker,
  type Pool,
  type Seen,
} from "@muster/store";

/** Between two looks for what is due, and between two at the feed that nothing asked for; milliseconds. */
const TICK = 2;
const POLL = 50;

export interface ExecutorFigures {
  finished: number;
  evicted: number;
  /** Milliseconds, of all jobs together: from a decision until it was seen, and from when a job was to end until that was written. */
  handingOver: number;
  ending: number;
}

export interface Work {
  runTime: number;
  workers: number;
}

/**
 * Stands for engines and supervisor: every attempt that was opened runs for its time, then its end is written as the
 * supervisor writes it: what came while the last transaction was written, and no more in one than there. What is preempted
 * ends at once and waits again.
 */
export class Executor {
  readonly figures: ExecutorFigures = { finished: 0, evicted: 0, handingOver: 0, ending: 0 };
  readonly #pool: Pool;
  readonly #workOf: (job: string) => Work;
  readonly #due: Map<string, { at: number; attempt: number }> = new Map();
  readonly #evicted = new Set<string>();
  readonly #waker: Waker;
  readonly #wakes: { close(): Promise<void> };
  #seen: Seen | undefined;
  #woken = false;
  #wake: (() => void) | undefined;
  #stopped = false;
  #running: Promise<unknown> | undefined;

  /** @param workOf milliseconds that a job runs, and on how many workers */
  constructor(options: { pool: Pool; databaseUrl: string; workOf: (job: string) => Work }) {
    this.#pool = options.pool;
    this.#workOf = options.workOf;
    this.#waker = new Waker(options.pool, 1);
    this.#wakes = listenForWakes(options.databaseUrl, () => {
      this.#woken = true;
      this.#wake?.();
    });
  }

  async start(): Promise<void> {
    this.#seen = await seenAll(this.#pool);
    this.#running = Promise.all([this.#follow(), this.#finish()]);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.#wakes.close();
    await this.#waker.close();
  }

  /** As the supervisor hands over: what was decided begins, whatever is being written of what ended. */
  async #follow(): Promise<void> {
    while (!this.#stopped) {
      this.#woken = false;
      await this.#read();
      if (this.#woken) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, POLL);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async #finish(): Promise<void> {
    while (!this.#stopped) {
      const now = performance.now();
      const waiting: { job: string; at: number; workers: number }[] = [];
      for (const [job, { at }] of this.#due) if (at <= now) waiting.push({ job, at, workers: this.#workOf(job).workers });
      let left = observationsAtOnce(waiting.reduce((sum, { workers }) => sum + workers, 0));
      const done: string[] = [];
      let due = 0;
      for (const { job, at, workers } of waiting) {
        if (left <= 0) break;
        left -= workers;
        done.push(job);
        due += at;
      }
      for (const job of done) this.#due.delete(job);
      const evicted = [...this.#evicted];
      this.#evicted.clear();
      if (done.length + evicted.length > 0) {
        await this.#end(done, evicted);
        this.figures.ending += done.length * performance.now() - due;
        this.#waker.wake();
      } else await delay(TICK);
    }
  }

  async #read(): Promise<void> {
    for (;;) {
      const { events, seen } = await readNews(this.#pool, this.#seen as Seen, 5000);
      this.#seen = seen;
      const now = performance.now();
      for (const { kind, job, attempt, at } of events) {
        if (job === null) continue;
        if (kind === "job.scheduled") {
          this.#due.set(job, { at: now + this.#workOf(job).runTime, attempt: attempt ?? 0 });
          this.figures.handingOver += Date.now() - at.getTime();
        } else if (kind === "job.preempted" && this.#due.delete(job)) this.#evicted.add(job);
      }
      if (!seen.rest) return;
    }
  }

  async #end(done: readonly string[], evicted: readonly string[]): Promise<void> {
    const stopped = new Set(evicted);
    await transaction(this.#pool, async (client) => {
      const { rows } = await client.query<{ job: string; incarnation: string; attempt: number; preempted: boolean }>({
        name: "executor-lock",
        text: "SELECT id AS job, incarnation::text, attempt, state = 'stopping' AS preempted FROM jobs WHERE id = ANY($1::text[]) AND state IN ('scheduled', 'stopping') ORDER BY id FOR UPDATE",
        values: [[...done, ...evicted]],
      });
      // one that was preempted while it ended did end
      const again = (row: { job: string; preempted: boolean }): boolean => row.preempted && stopped.has(row.job);
      await together(client, [
        () =>
          client.query({
            name: "executor-end-workers",
            text: `UPDATE workers w SET state = 'exited', exit_code = 0, ended_at = now(), todo = false FROM unnest($1::text[], $2::bigint[], $3::int[]) AS k(job, incarnation, attempt)
          WHERE (w.job, w.incarnation, w.attempt) = (k.job, k.incarnation, k.attempt)`,
            values: [rows.map((row) => row.job), rows.map((row) => row.incarnation), rows.map((row) => row.attempt)],
          }),
        () =>
          changeJobs(
            client,
            rows.map((row) => ({
              job: row.job,
              state: again(row) ? ("queued" as const) : ("succeeded" as const),
              stopTarget: null,
              dueIn: null,
              started: true,
              finished: !again(row),
            })),
          ),
        () =>
          changeAttempts(
            client,
            rows.map((row) => ({
              job: row.job,
              incarnation: row.incarnation,
              attempt: row.attempt,
              state: "ended" as const,
              outcome: again(row) ? ("stopped" as const) : ("succeeded" as const),
            })),
          ),
        () =>
          appendEvents(
            client,
            rows.map((row) => ({
              kind: again(row) ? "job.queued" : "job.succeeded",
              actor: "supervisor",
              project: "default",
              job: row.job,
              attempt: row.attempt,
            })),
          ),
        () => releaseEnded(client, rows),
      ]);
      this.figures.evicted += rows.filter(again).length;
      this.figures.finished += rows.filter((row) => !again(row)).length;
    });
  }
}
