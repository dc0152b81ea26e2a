import type { Engine, ShardSnapshot, WorkerStatus } from "@muster/engine";
import {
  appendEvents,
  checkLease,
  lockJobs,
  readCluster,
  readExpected,
  readForgettable,
  readKnown,
  readReported,
  recordFacts,
  saveBootIds,
  setShardReported,
  setTodo,
  transaction,
  unpauseStarts,
  workerKey,
  type ExpectedRow,
  type Lease,
  type Pool,
  type WorkerFact,
} from "@muster/store";
import { judgeAttempts } from "./judge.ts";
import { beginIncarnation } from "./restored.ts";

export interface AdoptionContext {
  pool: Pool;
  engine: Engine;
  lease: Lease;
  holder: string;
  /** Whether observations of the snapshot's epoch are already recorded up to a cursor: then ends will come as observations. */
  followed: boolean;
}

/**
 * Compares what an engine runs with what the store believes, and takes the one next step for each difference: what matches is
 * adopted by doing nothing, what was handed over and never arrived is sent again, what the store doesn't know is ended.
 */
export async function adopt(context: AdoptionContext): Promise<ShardSnapshot> {
  const { pool, engine } = context;
  // read before the snapshot: a worker that was already running then, and that the engine lacks now, is gone
  const expected = await readExpected(pool, engine.shard);
  const snapshot = await engine.snapshot();
  const live = snapshot.workers.filter(isLive);
  // read after the snapshot: what is handed over is in the store before the engine hears of it
  const known = await readReported(pool, snapshot.workers);
  await noticeRestore(pool, snapshot, engine.shard, known);
  await settleDifferences(context, expected, snapshot);
  const foreign = await endForeign(
    context,
    live.filter((worker) => !isOurs(worker, engine.shard, known)),
    live,
  );
  await saveBootIds(pool, engine.shard, snapshot.nodes);
  const { incarnation } = await readCluster(pool);
  if (!foreign) {
    await setShardReported(pool, engine.shard, incarnation);
    if (await unpauseStarts(pool)) await appendEvents(pool, [{ kind: "cluster.starts_resumed", actor: "supervisor", data: { incarnation } }]);
  }
  await forgetEnded(context, snapshot);
  return snapshot;
}

function isLive(worker: WorkerStatus): boolean {
  return worker.state === "starting" || worker.state === "running";
}

type Reported = Awaited<ReturnType<typeof readReported>>;

/** Whether the store has this worker where the engine has it, and has handed it over. */
function isOurs(worker: WorkerStatus, shard: string, known: Reported): boolean {
  const row = known.get(workerKey(worker));
  return row !== undefined && row.state !== "pending" && row.shard === shard && row.node === worker.node;
}

/** An engine that runs what the store has never handed over shows that the store is older than what runs. */
async function noticeRestore(pool: Pool, snapshot: ShardSnapshot, shard: string, known: Reported): Promise<void> {
  const { incarnation } = await readCluster(pool);
  const unknown = snapshot.workers.filter(
    (worker) => worker.state !== "lost" && BigInt(worker.incarnation) >= BigInt(incarnation) && !isOurs(worker, shard, known),
  );
  // what has ended may also have left the store by retention, with its job
  const jobs =
    unknown.length > 0
      ? await readKnown(
          pool,
          unknown.map((worker) => worker.job),
        )
      : new Map<string, never>();
  const strange = unknown.find((worker) => isLive(worker) || jobs.has(worker.job));
  if (strange) {
    await beginIncarnation(
      pool,
      incarnation,
      snapshot.incarnation,
      `shard ${shard} has attempt ${strange.attempt} of ${strange.job}, which this database never started: it was restored from a backup`,
    );
  } else if (BigInt(snapshot.incarnation || "0") > BigInt(incarnation)) {
    await beginIncarnation(
      pool,
      incarnation,
      snapshot.incarnation,
      `shard ${shard} has seen incarnation ${snapshot.incarnation}, which is newer than the database's: it was restored from a backup`,
    );
  }
}

async function settleDifferences({ pool, lease, holder, followed }: AdoptionContext, expected: readonly ExpectedRow[], snapshot: ShardSnapshot): Promise<void> {
  const reported = new Map(snapshot.workers.map((worker) => [workerKey(worker), worker]));
  const missing = expected.filter((row) => !reported.has(workerKey(row)));
  await setTodo(
    pool,
    missing.filter((row) => row.state === "starting"),
    true,
  );
  const facts: WorkerFact[] = missing
    .filter((row) => row.state === "running")
    .map((row) => ({ ...idOf(row), state: "lost", exitCode: null, signal: null, oom: false, reason: "the engine no longer knows it", detail: null }));
  if (!followed) {
    for (const row of expected) {
      const worker = reported.get(workerKey(row));
      if (worker && worker.state !== "starting")
        facts.push({ ...idOf(row), state: worker.state, exitCode: worker.exitCode, signal: worker.signal, oom: worker.oom, reason: null, detail: null });
    }
  }
  if (facts.length === 0) return;
  await transaction(pool, async (client) => {
    await checkLease(client, lease, holder);
    await lockJobs(client, facts);
    await judgeAttempts(client, await recordFacts(client, facts));
  });
}

/** Ends what runs without the store's knowledge, and what it took for dead. Returns whether there was any. */
async function endForeign({ pool, engine }: AdoptionContext, strange: readonly WorkerStatus[], live: readonly WorkerStatus[]): Promise<boolean> {
  const current = new Set((await readExpected(pool, engine.shard)).map(workerKey));
  const foreign = [...new Set([...strange, ...live.filter((worker) => !current.has(workerKey(worker)))])];
  if (foreign.length === 0) return false;
  await engine.stop(
    foreign.map((worker) => ({ job: worker.job, incarnation: worker.incarnation, attempt: worker.attempt, worker: worker.worker, mode: "kill", grace: 0 })),
  );
  return true;
}

export async function forgetEnded({ pool, engine }: Pick<AdoptionContext, "pool" | "engine">, snapshot: ShardSnapshot): Promise<void> {
  const over = new Map(
    snapshot.workers
      .filter((worker) => worker.state === "exited" || worker.state === "lost")
      .map((worker) => [`${worker.job}/${worker.incarnation}/${worker.attempt}`, worker]),
  );
  const forgettable = await readForgettable(pool, engine.shard, [...over.values()]);
  if (forgettable.length > 0) await engine.forget(forgettable);
}

function idOf(row: ExpectedRow): { job: string; incarnation: string; attempt: number; worker: string } {
  return { job: row.job, incarnation: row.incarnation, attempt: row.attempt, worker: row.worker };
}
