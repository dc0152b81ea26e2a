import { createPostgresBackend, Queue, runMigrations, Worker, type PostgresConnectionOptions, type PostgresQueueBackend } from "bullmq";
import { appendEvents, QuietClient, type Pool, type Waker } from "@muster/store";
import type { Logger } from "pino";

const QUEUE = "side-work";

/** Both on the Postgres backend; the classes' own types are those of Redis. */
interface OnPostgres {
  queue: Queue<unknown, unknown, string, unknown, unknown, string, PostgresQueueBackend, PostgresConnectionOptions>;
  worker: Worker<unknown, unknown, string, PostgresQueueBackend, PostgresConnectionOptions, PostgresConnectionOptions>;
}

/** A check that runs every so often, on one supervisor at a time. */
export interface Check {
  name: string;
  /** Milliseconds. */
  every: number;
  run(): Promise<void>;
}

export interface SideWorkOptions {
  databaseUrl: string;
  pool: Pool;
  waker: Waker;
  logger: Logger;
  checks: readonly Check[];
}

export interface Timers {
  /** Wakes the scheduler when a job's back-off is over. */
  backoff(job: string, seconds: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Timers and schedules, by BullMQ on the same Postgres. A message carries only a key; what is due is read from the store, so
 * that losing or repeating one changes nothing.
 */
export class SideWork implements Timers {
  readonly #queue: OnPostgres["queue"];
  readonly #worker: OnPostgres["worker"];
  readonly #logger: Logger;

  static async start(options: SideWorkOptions): Promise<SideWork> {
    const client = await options.pool.connect();
    try {
      await runMigrations(client);
    } finally {
      client.release();
    }
    const work = new SideWork(options);
    for (const check of options.checks)
      await work.#queue.upsertJobScheduler(check.name, { every: check.every }, { name: check.name, opts: { removeOnComplete: true, removeOnFail: true } });
    return work;
  }

  private constructor({ databaseUrl, pool, waker, logger, checks }: SideWorkOptions) {
    this.#logger = logger;
    const connection = { connectionString: databaseUrl, max: 4, application_name: "muster-side-work", Client: QuietClient };
    this.#queue = new Queue(QUEUE, { connection }, createPostgresBackend);
    const byName = new Map(checks.map((check) => [check.name, check]));
    this.#worker = new Worker(
      QUEUE,
      async (job) => {
        const check = byName.get(job.name);
        if (check) return check.run();
        if (job.name === "backoff") {
          const { job: id } = job.data as { job: string };
          await appendEvents(pool, [{ kind: "job.backoff_over", actor: "supervisor", job: id }]);
          waker.wake();
        }
      },
      { connection, concurrency: 2, drainDelay: 1, runRetryDelay: 500 },
      createPostgresBackend,
    );
    const warn = (error: Error): void => logger.warn({ err: error }, "side work");
    this.#queue.on("error", warn);
    this.#worker.on("error", warn);
    this.#worker.on("failed", (job, error) => logger.error({ check: job?.name, err: error }, "a check failed; it runs again on schedule"));
  }

  async backoff(job: string, seconds: number): Promise<void> {
    await this.#queue.add("backoff", { job }, { delay: Math.ceil(seconds * 1000), removeOnComplete: true, removeOnFail: true }).catch((error: Error) => {
      this.#logger.warn({ err: error, job }, "no timer for a back-off; the scheduler's own clock does it");
    });
  }

  async close(): Promise<void> {
    await this.#worker.close();
    await this.#queue.close();
  }
}
