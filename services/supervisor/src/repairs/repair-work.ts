import type { RepairHook } from "@muster/model";
import {
  askRepair,
  awaitRepair,
  beginTry,
  effectiveSettingsOf,
  readBroken,
  readOpenRepairs,
  readSettings,
  settleRepair,
  transaction,
  type Pool,
  type RepairRow,
  type Waker,
} from "@muster/store";
import { createPostgresBackend, Queue, Worker, type PostgresConnectionOptions, type PostgresQueueBackend } from "bullmq";
import type { Logger } from "pino";
import { hookFor } from "./hooks.ts";
import { runHook, type Outcome } from "./run-hook.ts";

const QUEUE = "repairs";
const LOOK_EVERY = 2000;
/** Hooks that run at a time on one supervisor. */
const AT_ONCE = 4;
/** Seconds until a webhook that took a repair on has to have reported. */
const REPORT_WITHIN = 86_400;

export interface RepairWorkOptions {
  databaseUrl: string;
  pool: Pool;
  waker: Waker;
  logger: Logger;
  hooks: readonly RepairHook[];
}

/**
 * Runs repair hooks, by BullMQ on the same Postgres, which tries again what fails. A message carries only a key: what is to be
 * repaired stands in the store and is looked at every so often, so that a message that is lost or comes twice changes nothing.
 */
export class RepairWork {
  readonly #options: RepairWorkOptions;
  readonly #queue: Queue<unknown, unknown, string, unknown, unknown, string, PostgresQueueBackend, PostgresConnectionOptions>;
  readonly #worker: Worker<unknown, unknown, string, PostgresQueueBackend, PostgresConnectionOptions, PostgresConnectionOptions>;
  readonly #abort = new AbortController();

  /** After `SideWork.start`, which makes BullMQ's tables. */
  static async start(options: RepairWorkOptions): Promise<RepairWork> {
    const work = new RepairWork(options);
    await work.#queue.upsertJobScheduler("look", { every: LOOK_EVERY }, { name: "look", opts: { removeOnComplete: true, removeOnFail: true } });
    return work;
  }

  private constructor(options: RepairWorkOptions) {
    this.#options = options;
    const { databaseUrl, logger } = options;
    const connection = { connectionString: databaseUrl, max: 4, application_name: "muster-repairs" };
    this.#queue = new Queue(QUEUE, { connection }, createPostgresBackend);
    this.#worker = new Worker(
      QUEUE,
      (job) => (job.name === "look" ? this.#look() : this.#run((job.data as { repair: string }).repair, job.attemptsMade + 1 >= (job.opts.attempts ?? 1))),
      { connection, concurrency: AT_ONCE + 1, drainDelay: 1, runRetryDelay: 500 },
      createPostgresBackend,
    );
    const warn = (error: Error): void => logger.warn({ err: error }, "repairs");
    this.#queue.on("error", warn);
    this.#worker.on("error", warn);
    this.#worker.on("failed", (job, error) => logger.warn({ repair: job?.data, error: error.message }, "a repair hook failed; it is tried again"));
  }

  /** Level-triggered: has hooks asked for what is broken, and given up what was not reported of in time. */
  async #look(): Promise<void> {
    const { pool, hooks } = this.#options;
    const { retire_after: retireAfter } = effectiveSettingsOf(await readSettings(pool)).nodes;
    for (const node of await readBroken(pool)) {
      const hook = hookFor(hooks, node.pool);
      if (hook && (await transaction(pool, (client) => askRepair(client, node.name, hook.name, retireAfter)))) this.#changed();
    }
    for (const repair of await readOpenRepairs(pool)) {
      const hook = this.#hook(repair.hook);
      if (!hook) continue;
      if (repair.state === "asked") await this.#enqueue(repair, hook);
      else if (repair.age > (hook.timeout ?? REPORT_WITHIN))
        await this.#settle(repair, { state: "failed", said: `nothing was reported within ${hook.timeout ?? REPORT_WITHIN} s` });
    }
  }

  async #enqueue({ id }: RepairRow, hook: RepairHook): Promise<void> {
    await this.#queue.add(
      "run",
      { repair: id },
      { jobId: `repair-${id}`, attempts: hook.tries, backoff: { type: "exponential", delay: hook.backoff * 1000 }, removeOnComplete: true, removeOnFail: true },
    );
  }

  async #run(id: string, last: boolean): Promise<void> {
    const { pool } = this.#options;
    const repair = await beginTry(pool, id);
    const hook = repair && this.#hook(repair.hook);
    if (!repair) return;
    if (!hook) throw new Error(`this supervisor has no hook ${repair.hook}`);
    const { node, pool: of, reason, tries } = repair;
    try {
      const outcome = await runHook(hook, { node, pool: of, reason, hook: hook.name, try: tries }, this.#abort.signal);
      if (outcome.state === "waiting") await awaitRepair(pool, id, outcome.said);
      else await this.#settle(repair, outcome);
    } catch (error) {
      if (!last || this.#abort.signal.aborted) throw error;
      await this.#settle(repair, { state: "failed", said: `after ${tries} tries: ${(error as Error).message}` });
    }
  }

  async #settle(repair: RepairRow, { state, said }: Outcome): Promise<void> {
    await transaction(this.#options.pool, (client) => settleRepair(client, repair, state === "passed", said));
    this.#changed();
  }

  #hook(name: string): RepairHook | undefined {
    return this.#options.hooks.find((hook) => hook.name === name);
  }

  #changed(): void {
    this.#options.waker.wake();
  }

  async close(): Promise<void> {
    this.#abort.abort();
    await this.#worker.close();
    await this.#queue.close();
  }
}
