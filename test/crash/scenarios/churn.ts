import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { TestCluster } from "../../support/cluster.ts";
import { doubles, isAlive } from "../../support/processes.ts";

const SCHEDULER = fileURLToPath(new URL("../../../services/scheduler/src/main.ts", import.meta.url));
const SUPERVISOR = fileURLToPath(new URL("../../../services/supervisor/src/main.ts", import.meta.url));

export interface ChurnFigures {
  jobs: number;
  seconds: number;
  kills: number;
  samples: number;
}

/** Two schedulers and two supervisors work off jobs while one of the four is killed every few seconds and started again. */
export async function runChurn(jobs: number, random: () => number): Promise<ChurnFigures> {
  const cluster = await TestCluster.create([0, 1, 2, 3].map((index) => ({ name: `n${index}`, shard: index < 2 ? "a" : "b", cpus: 64 })));
  const runs = join(cluster.dir, "runs");
  writeFileSync(runs, "");
  chmodSync(runs, 0o666);
  const log = openSync(join(cluster.dir, "services.log"), "a");
  const env = {
    ...process.env,
    DATABASE_URL: cluster.db.url,
    MUSTER_API_URL: "http://127.0.0.1:9",
    MUSTER_AGENTS_DIR: join(cluster.dir, "agents"),
    MUSTER_LOG_STORE: join(cluster.dir, "logs"),
    MUSTER_LOG_LEVEL: "warn",
  };
  const launch = (main: string): ChildProcess => spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main], { stdio: ["ignore", log, log], env });
  const services = [SCHEDULER, SCHEDULER, SUPERVISOR, SUPERVISOR].map((main) => ({ main, child: launch(main) }));
  const began = Date.now();
  const over = new AbortController();
  const figures: ChurnFigures = { jobs, seconds: 0, kills: 0, samples: 0 };
  const ids = new Set<string>();
  const wrong: string[] = [];
  let fatal: Error | undefined;
  const pause = (milliseconds: number): Promise<void> => delay(milliseconds, undefined, { signal: over.signal }).catch(() => {});
  const killer = async (): Promise<void> => {
    for (;;) {
      await pause(2000 + random() * 2000);
      if (over.signal.aborted) return;
      const victim = services[Math.floor(random() * services.length)] as (typeof services)[number];
      victim.child.kill("SIGKILL");
      figures.kills++;
      victim.child = launch(victim.main);
    }
  };
  const watcher = async (): Promise<void> => {
    while (!over.signal.aborted) {
      // one that we kill has no code
      for (const { main, child } of services)
        if (child.exitCode !== null)
          fatal ??= new Error(`${main} ended with ${child.exitCode}: ${readFileSync(join(cluster.dir, "services.log"), "utf8").slice(-1000)}`);
      wrong.push(...doubles(ids));
      const { rows } = await cluster.pool.query<{ node: string }>("SELECT node FROM node_usage WHERE 1000 < ANY (held)");
      wrong.push(...rows.map((row) => `${row.node} holds more than there is`));
      figures.samples++;
      await pause(100);
    }
  };
  try {
    const others = [killer(), watcher()];
    const submitted = await cluster.submit(
      ...Array.from({ length: jobs }, () => ({
        accelerator: "h800",
        resources: { accelerators: 1 + Math.floor(random() * 4) },
        run: ["sh", "-c", `echo "$MUSTER_JOB_ID $MUSTER_ATTEMPT" >>${runs}; sleep 0.3`],
      })),
    );
    for (const id of submitted) ids.add(id);
    const limit = Date.now() + 60_000 + jobs * 1000;
    const live = async (): Promise<number> =>
      (await cluster.pool.query<{ live: number }>("SELECT count(*)::int AS live FROM jobs WHERE finished_at IS NULL")).rows[0]?.live ?? 0;
    while ((await live()) > 0) {
      if (fatal) throw fatal;
      if (Date.now() > limit) throw new Error(`${await live()} jobs have not ended: ${readFileSync(join(cluster.dir, "services.log"), "utf8").slice(-3000)}`);
      await delay(100);
    }
    figures.seconds = (Date.now() - began) / 1000;
    over.abort();
    await Promise.all(others);
    const { rows } = await cluster.pool.query<{ id: string; state: string; attempt: number }>("SELECT id, state, attempt FROM jobs");
    const lines = readFileSync(runs, "utf8").trimEnd().split("\n").sort();
    const expected = submitted.map((id) => `${id} 1`).sort();
    wrong.push(...rows.filter((row) => row.state !== "succeeded" || row.attempt !== 1).map((row) => JSON.stringify(row)));
    if (JSON.stringify(lines) !== JSON.stringify(expected))
      wrong.push(
        `ran otherwise than once each: ${JSON.stringify(lines.filter((line, index) => lines.indexOf(line) !== index || !expected.includes(line)))}, missing ${JSON.stringify(expected.filter((line) => !lines.includes(line)))}`,
      );
    if (wrong.length > 0) throw new Error([...new Set(wrong)].slice(0, 20).join("\n"));
    return figures;
  } finally {
    over.abort();
    for (const { child } of services) child.kill("SIGTERM");
    for (const { child } of services) while (child.pid !== undefined && isAlive(child.pid)) await delay(20);
    await cluster.close();
  }
}
