import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { testDatabase } from "../../../packages/store/src/test-database.ts";
import { clusterOf, ControlPlane } from "../../support/control-plane.ts";

const PRELOAD = fileURLToPath(new URL("../../support/crash-point.ts", import.meta.url));

export interface CrashPoint {
  side: "before" | "after";
  write: number;
}

/** About as many writes as one job makes from submission to its recorded end, and some more. */
export const WRITES = 40;

export interface CrashFigures {
  points: number;
  /** Points that were reached: the others lie beyond the job's last write. */
  reached: number;
}

/**
 * For each point: the control plane is killed there while a job goes through it, and started again. The job must end once: one record of it,
 * attempt 1, its work done exactly once.
 */
export async function runCrashPoints(points: readonly CrashPoint[]): Promise<CrashFigures> {
  const db = await testDatabase();
  const plane = new ControlPlane({ cluster: clusterOf({ h800: 1 }), databaseUrl: db.url });
  const done = join(plane.dir, "done");
  writeFileSync(done, "");
  chmodSync(done, 0o666);
  let reached = 0;
  let before: { id: string; point: string } | undefined;
  const check = async (): Promise<void> => {
    if (!before) return;
    const { id, point } = before;
    const job = await plane.untilState(id, "succeeded", "failed", "cancelled");
    const runs = readFileSync(done, "utf8")
      .split("\n")
      .filter((line) => line.startsWith(id));
    if (job.state !== "succeeded" || job.attempt !== 1 || runs.length !== 1)
      throw new Error(`killed ${point}: ${job.state} in attempt ${job.attempt}, ran ${JSON.stringify(runs)}`);
  };
  try {
    for (const { side, write } of points) {
      const point = `${side} write ${write}`;
      await plane.start({ MUSTER_CRASH_POINT: `${side}:${write}` }, ["--import", PRELOAD]);
      await check();
      const key = `key-${side}-${write}-${Date.now()}`;
      const id = await submitOnce(plane, key, {
        accelerator: "h800",
        resources: { accelerators: 1 },
        run: ["sh", "-c", `echo "$MUSTER_JOB_ID $MUSTER_ATTEMPT" >>${done}`],
      });
      before = { id, point };
      for (;;) {
        if (!plane.running) {
          reached++;
          break;
        }
        const job = await plane.job(id).catch(() => undefined);
        if (job && job.state !== "queued" && job.finished_at !== null) break;
        await delay(20);
      }
      await plane.kill();
    }
    await plane.start();
    await check();
    const jobs = await plane.query<{ count: number }>("SELECT count(*)::int AS count FROM jobs");
    if (jobs[0]?.count !== points.length) throw new Error(`${points.length} jobs were submitted, ${jobs[0]?.count} are known`);
    const doubled = await plane.query("SELECT node FROM node_usage WHERE 0 < ANY (held)");
    if (doubled.length > 0) throw new Error(`devices are still held: ${JSON.stringify(doubled)}`);
    return { points: points.length, reached };
  } finally {
    await plane.close();
    await db.drop();
  }
}

/** As a client would: the same key until there is an answer, starting the control plane again where it died. */
async function submitOnce(plane: ControlPlane, key: string, spec: Parameters<ControlPlane["submit"]>[0]): Promise<string> {
  for (;;) {
    try {
      return (await plane.submit(spec, key)).id;
    } catch (error) {
      if (plane.running && !(error instanceof TypeError)) throw error;
      // killed by the submission itself: this run of it ends here, and the next one takes the job over
      if (!plane.running) await plane.start();
    }
  }
}
