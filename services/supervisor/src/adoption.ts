import { compareFence, type Engine, type ShardSnapshot, type WorkerStatus } from "@muster/engine";
import {
  appendEvents,
  checkLease,
  newIncarnation,
  readCluster,
  readExpected,
  readForgettable,
  readKnown,
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
import { openIncident } from "./incidents.ts";
import { judgeAttempts } from "./judge.ts";

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
  const live = snapshot.workers.filter((worker) => worker.state === "starting" || worker.state === "running");
  const known = await readKnown(pool, [...new Set(live.map((worker) => worker.job))]);
  const newer = live.find((worker) => {
    const here = known.get(worker.job);
    return !here || compareFence(worker, here) > 0;
  });
  const cluster = await readCluster(pool);
  if (newer || BigInt(snapshot.incarnation || "0") > BigInt(cluster.incarnation)) await beginIncarnation(pool, engine.shard, snapshot, newer);
  await settleDifferences(context, expected, snapshot);
  const foreign = await endForeign(context, live);
  await saveBootIds(pool, engine.shard, snapshot.nodes);
  const { incarnation } = await readCluster(pool);
  if (!foreign) {
    await setShardReported(pool, engine.shard, incarnation);
    if (await unpauseStarts(pool)) await appendEvents(pool, [{ kind: "cluster.starts_resumed", actor: "supervisor", data: { incarnation } }]);
  }
  await forgetEnded(context, snapshot);
  return snapshot;
}

/** The store is older than what runs: it was restored, or a lagging replica was promoted. Nothing starts until all is settled. */
async function beginIncarnation(pool: Pool, shard: string, snapshot: ShardSnapshot, newer: WorkerStatus | undefined): Promise<void> {
  const reason = newer
    ? `shard ${shard} runs attempt ${newer.attempt} of ${newer.job}, which is newer than the database's: the database was restored from a backup`
    : `shard ${shard} has seen incarnation ${snapshot.incarnation}, which is newer than the database's: the database was restored from a backup`;
  const cluster = await readCluster(pool);
  // another shard may have noticed first: one new incarnation is enough for all
  if (cluster.starts_paused && BigInt(cluster.incarnation) > BigInt(snapshot.incarnation || "0")) return;
  const incarnation = await newIncarnation(pool, reason, BigInt(snapshot.incarnation || "0"));
  await openIncident(pool, { kind: "restored_backup", severity: "critical", evidence: [reason], action: `began incarnation ${incarnation}; starts wait until every shard has reported` });
  await appendEvents(pool, [{ kind: "cluster.new_incarnation", actor: "supervisor", data: { incarnation, reason } }]);
}

async function settleDifferences({ pool, lease, holder, followed }: AdoptionContext, expected: readonly ExpectedRow[], snapshot: ShardSnapshot): Promise<void> {
  const reported = new Map(snapshot.workers.map((worker) => [workerKey(worker), worker]));
  const missing = expected.filter((row) => !reported.has(workerKey(row)));
  await setTodo(pool, missing.filter((row) => row.state === "starting"), true);
  const facts: WorkerFact[] = missing
    .filter((row) => row.state === "running")
    .map((row) => ({ ...idOf(row), state: "lost", exitCode: null, signal: null, oom: false, reason: "the engine no longer knows it", detail: null }));
  if (!followed) {
    for (const row of expected) {
      const worker = reported.get(workerKey(row));
      if (worker && worker.state !== "starting") facts.push({ ...idOf(row), state: worker.state, exitCode: worker.exitCode, signal: worker.signal, oom: worker.oom, reason: null, detail: null });
    }
  }
  if (facts.length === 0) return;
  await transaction(pool, async (client) => {
    await checkLease(client, lease, holder);
    await judgeAttempts(client, await recordFacts(client, facts));
  });
}

/** Ends what runs without the store's knowledge. Returns whether there was any. */
async function endForeign({ pool, engine }: AdoptionContext, live: readonly WorkerStatus[]): Promise<boolean> {
  const current = new Set((await readExpected(pool, engine.shard)).map(workerKey));
  const foreign = live.filter((worker) => !current.has(workerKey(worker)));
  if (foreign.length === 0) return false;
  await engine.stop(foreign.map((worker) => ({ job: worker.job, incarnation: worker.incarnation, attempt: worker.attempt, worker: worker.worker, mode: "kill", grace: 0 })));
  return true;
}

export async function forgetEnded({ pool, engine }: Pick<AdoptionContext, "pool" | "engine">, snapshot: ShardSnapshot): Promise<void> {
  const over = new Map(snapshot.workers.filter((worker) => worker.state === "exited" || worker.state === "lost").map((worker) => [`${worker.job}/${worker.incarnation}/${worker.attempt}`, worker]));
  const forgettable = await readForgettable(pool, engine.shard, [...over.values()]);
  if (forgettable.length > 0) await engine.forget(forgettable);
}

function idOf(row: ExpectedRow): { job: string; incarnation: string; attempt: number; worker: string } {
  return { job: row.job, incarnation: row.incarnation, attempt: row.attempt, worker: row.worker };
}
