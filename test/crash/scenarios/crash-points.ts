import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { testDatabase } from "../../../packages/store/src/test-database.ts";
import { clusterOf, ControlPlane } from "../../support/control-plane.ts";

const PRELOAD = fileURLToPath(new URL("../../support/crash-point.ts", import.meta.url));

export type ScenarioName = "life" | "recovery" | "drain";

export interface CrashPoint {
  scenario: ScenarioName;
  side: "before" | "after";
  write: number;
}

interface Scenario {
  /** About as many writes as there are from the first of its statements to the end, and some more. */
  writes: number;
  /** The statement from which on writes are counted. */
  from: string;
  /** What the job does, beside saying that it runs. */
  run: string;
  /** In how many attempts it ends. */
  attempts: number;
  /** What is done to it when it runs. */
  disturb?: (plane: ControlPlane, id: string) => Promise<void>;
  /** Makes good what was done, and says what is wrong about it. */
  settle?: (plane: ControlPlane) => Promise<void>;
}

const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = {
  /** Submitted, placed, started, finished. */
  life: { writes: 80, from: "INSERT INTO jobs\\b", run: "true", attempts: 1 },
  /** Its first attempt is killed from outside; it is judged, and starts again. */
  recovery: { writes: 110, from: "INSERT INTO jobs\\b", run: "if [ $MUSTER_ATTEMPT = 1 ]; then kill -9 $$; fi", attempts: 2 },
  /** Its node is drained while it runs; it goes on on another one. */
  drain: {
    writes: 55,
    from: "UPDATE nodes SET health",
    run: "if [ $MUSTER_ATTEMPT = 1 ]; then trap 'exit 0' TERM; while true; do sleep 0.1; done; fi",
    attempts: 2,
    disturb: async (plane, id) => {
      await plane.untilState(id, "running");
      const node = await nodeOf(plane, id);
      await insist(plane, `/v1/nodes/${node}/drain`, { reason: "test", deadline: 60 });
    },
    settle: async (plane) => {
      const away = (): Promise<{ name: string; health: string }[]> =>
        plane.query<{ name: string; health: string }>("SELECT name, health FROM nodes WHERE health <> 'ready'");
      // that nothing is left on a node is looked for every few seconds, from the start of a supervisor on
      for (const deadline = Date.now() + 60_000; ; await delay(200)) {
        const draining = (await away()).find(({ health }) => health !== "cordoned");
        if (!draining) break;
        if (Date.now() > deadline) throw new Error(`node ${draining.name} was drained, and is ${draining.health}`);
      }
      for (const { name } of await away()) await insist(plane, `/v1/nodes/${name}/uncordon`, { reason: "test" });
    },
  },
};

/** Every point of every scenario. */
export function allCrashPoints(): CrashPoint[] {
  return (Object.keys(SCENARIOS) as ScenarioName[]).flatMap((scenario) =>
    Array.from({ length: SCENARIOS[scenario].writes }, (_, index) => index + 1).flatMap((write): CrashPoint[] => [
      { scenario, side: "before", write },
      { scenario, side: "after", write },
    ]),
  );
}

/** A point of a scenario somewhere in so much of it, from 0 to 1. */
export function crashPointAt(scenario: ScenarioName, side: CrashPoint["side"], part: number): CrashPoint {
  return { scenario, side, write: 1 + Math.floor(part * SCENARIOS[scenario].writes) };
}

export interface CrashFigures {
  points: number;
  /** Points that were reached: the others lie beyond the job's last write. */
  reached: number;
}

/**
 * For each point: the control plane is killed there while a job goes through its scenario, and started again. The job must end as it does without:
 * one record of it, in so many attempts, each of which ran exactly once. What is read changes nothing, so that to die before or after a
 * question is to die after the write before it.
 */
export async function runCrashPoints(points: readonly CrashPoint[]): Promise<CrashFigures> {
  const db = await testDatabase();
  const plane = new ControlPlane({ cluster: clusterOf({ h800: 2 }), databaseUrl: db.url });
  const done = join(plane.dir, "done");
  writeFileSync(done, "");
  chmodSync(done, 0o666);
  let reached = 0;
  let before: { id: string; point: CrashPoint } | undefined;
  const check = async (): Promise<void> => {
    if (!before) return;
    const { id, point } = before;
    const { attempts, settle } = SCENARIOS[point.scenario];
    const job = await plane.untilState(id, "succeeded", "failed", "cancelled");
    const runs = readFileSync(done, "utf8")
      .split("\n")
      .filter((line) => line.startsWith(id));
    const expected = Array.from({ length: attempts }, (_, index) => `${id} ${index + 1}`);
    if (job.state !== "succeeded" || job.attempt !== attempts || JSON.stringify(runs) !== JSON.stringify(expected))
      throw new Error(`${point.scenario}, killed ${point.side} write ${point.write}: ${job.state} in attempt ${job.attempt}, ran ${JSON.stringify(runs)}`);
    await settle?.(plane);
  };
  try {
    for (const point of points) {
      const { scenario, side, write } = point;
      const { from, run, disturb } = SCENARIOS[scenario];
      // what was begun before the point ends without any
      await plane.start(before ? {} : { MUSTER_CRASH_POINT: `${side}:${write}`, MUSTER_CRASH_FROM: from }, ["--import", PRELOAD]);
      if (before) {
        await check();
        await plane.kill();
        await plane.start({ MUSTER_CRASH_POINT: `${side}:${write}`, MUSTER_CRASH_FROM: from }, ["--import", PRELOAD]);
      }
      const { pid } = plane;
      const id = await submitOnce(plane, `key-${scenario}-${side}-${write}-${Date.now()}`, {
        accelerator: "h800",
        resources: { accelerators: 1 },
        checkpoint: { grace: 5 },
        run: ["bash", "-c", `echo "$MUSTER_JOB_ID $MUSTER_ATTEMPT" >>${done}; ${run}`],
      });
      before = { id, point };
      if (plane.running) await disturb?.(plane, id);
      while (plane.running) {
        const job = await plane.job(id).catch(() => undefined);
        if (job && job.finished_at !== null) break;
        await delay(20);
      }
      // dead, or started again by who asked it what killed it
      if (!plane.running || plane.pid !== pid) reached++;
      if (plane.running) await plane.kill();
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

async function nodeOf(plane: ControlPlane, id: string): Promise<string> {
  const rows = await plane.query<{ node: string }>("SELECT node FROM workers WHERE job = $1 AND NOT released", [id]);
  if (!rows[0]) throw new Error(`${id} has no worker`);
  return rows[0].node;
}

/** Asks until there is an answer, starting the control plane again where it died of the question. */
async function insist(plane: ControlPlane, path: string, body: unknown): Promise<void> {
  for (;;) {
    try {
      const { status, body: answer } = await plane.request("POST", path, body);
      if (status < 300) return;
      if (status < 500) throw new Error(`${path}: ${status} ${JSON.stringify(answer)}`);
    } catch (error) {
      if (plane.running && !(error instanceof TypeError)) throw error;
    }
    // killed by the question itself: this run of it ends here
    if (!plane.running) await plane.start();
    await delay(50);
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
