import { Unreachable, type Engine } from "@muster/engine";
import {
  appendEvents,
  attemptKey,
  checkLease,
  holdStarts,
  lockJobs,
  checkpointDelivered,
  makeAttemptToken,
  markHandedOver,
  readBlockedStarts,
  readCluster,
  readCommands,
  readPeers,
  readResumePaths,
  readUnsealed,
  setTodo,
  stopDelivered,
  transaction,
  workerKey,
  type CommandRow,
  type Lease,
  type Pool,
} from "@muster/store";
import { startRequest } from "./start-request.ts";

const BATCH = 256;

export interface DispatchContext {
  pool: Pool;
  engine: Engine;
  lease: Lease;
  holder: string;
  apiUrl: string;
  /** Makes sure that the engine knows these nodes. */
  knowNodes(nodes: readonly string[]): Promise<void>;
}

export interface Dispatched {
  sent: number;
  /** More was waiting than fitted into the batch. */
  more: boolean;
}

/** Sends the commands that wait for a shard's workers: stops first, then the starts that nothing forbids. */
export async function dispatchCommands(context: DispatchContext): Promise<Dispatched> {
  const { pool, engine } = context;
  const rows = await readCommands(pool, engine.shard, BATCH);
  if (rows.length === 0) return { sent: 0, more: false };
  const stops = rows.filter((row) => row.desired !== "run");
  if (stops.length > 0) {
    await engine.stop(
      stops.map((row) => ({
        job: row.job,
        incarnation: row.incarnation,
        attempt: row.attempt,
        worker: row.worker,
        mode: row.desired === "kill" ? "kill" : "graceful",
        grace: row.grace,
        ...(row.inspect && { inspect: true }),
      })),
    );
    await stopDelivered(pool, stops);
  }
  const asked = rows.filter((row) => row.checkpoint_asked && row.state === "running" && row.desired === "run");
  if (asked.length > 0) {
    await engine.checkpointNow([
      ...new Map(asked.map((row) => [attemptKey(row), { job: row.job, incarnation: row.incarnation, attempt: row.attempt }])).values(),
    ]);
    await checkpointDelivered(pool, asked);
  }
  const starts = rows.filter(
    (row) => row.desired === "run" && row.state !== "running" && row.current && (row.attempt_state === "scheduled" || row.attempt_state === "starting"),
  );
  const started = starts.length > 0 ? await startWorkers(context, starts) : 0;
  return { sent: stops.length + started, more: rows.length === BATCH && stops.length + started > 0 };
}

async function startWorkers(context: DispatchContext, rows: readonly CommandRow[]): Promise<number> {
  const { pool, engine, lease, holder } = context;
  const cluster = await readCluster(pool);
  if (cluster.starts_paused) return 0;
  const attempts = [...new Map(rows.map((row) => [attemptKey(row), row])).values()];
  const again = attempts.filter((row) => row.attempt > 1 || row.resume_reason !== null);
  const blocked = again.length > 0 ? await readBlockedStarts(pool, again) : new Map<string, string>();
  const ready = rows.filter((row) => !blocked.has(row.job));
  if (ready.length === 0) return 0;
  await context.knowNodes(ready.map((row) => row.node));
  const gangs = attempts.filter((row) => !blocked.has(row.job));
  const peers = Map.groupBy(await readPeers(pool, gangs), attemptKey);
  const resume =
    again.length > 0
      ? await readResumePaths(
          pool,
          again.map((row) => row.job),
        )
      : new Map<string, never>();
  const { started } = await transaction(pool, async (client) => {
    await checkLease(client, lease, holder);
    if (await holdStarts(client)) return { started: new Set<string>(), jobs: [] };
    await lockJobs(client, ready);
    const handed = await markHandedOver(client, ready, resume);
    await appendEvents(
      client,
      handed.jobs.map((job) => ({
        kind: "job.starting",
        actor: "supervisor",
        project: job.project,
        job: job.job,
        attempt: job.attempt,
        data: resume.has(job.job) ? { resume_step: resume.get(job.job)?.step } : {},
      })),
    );
    return handed;
  });
  const handed = ready.filter((row) => started.has(workerKey(row)));
  if (handed.length === 0) return 0;
  const requests = handed.map((row) =>
    startRequest(row, {
      peers: (peers.get(attemptKey(row)) ?? []).map((peer) => ({ role: peer.role, nodeRank: peer.node_rank, node: peer.node, address: peer.address })),
      apiUrl: context.apiUrl,
      token: makeAttemptToken(cluster.secret, row),
      gang: (peers.get(attemptKey(row)) ?? []).filter((peer) => peer.shard === engine.shard).length,
      engine,
      ...(resume.has(row.job) && { resumeFrom: resume.get(row.job)?.path as string }),
    }),
  );
  try {
    await engine.start(requests);
  } catch (error) {
    // the outcome is unknown: the same start again is safe
    if (error instanceof Unreachable) await setTodo(pool, handed, true);
    throw error;
  }
  return handed.length;
}

/** Has accepted commits copied to where no attempt can write. Idempotent; each id is asked for once per connection. */
export async function sealCommits({ pool, engine }: DispatchContext, asked: Set<number>): Promise<void> {
  const rows = (await readUnsealed(pool, engine.shard, BATCH)).filter((row) => !asked.has(row.id));
  if (rows.length === 0) return;
  await engine.seal(
    rows.map((row) => ({
      job: row.job,
      incarnation: row.incarnation,
      attempt: row.attempt,
      node: row.node,
      project: row.project,
      ...(row.dir !== null && { dir: `${row.dir.replace(/\/+$/, "")}/${row.job}` }),
      step: row.step,
      path: row.path,
      name: `${row.step}-${row.id}`,
      keep: [`${row.step}-${row.id}`, ...row.sealed.map((path) => path.slice(path.lastIndexOf("/") + 1))].slice(0, row.keep),
    })),
  );
  for (const row of rows) asked.add(row.id);
}
