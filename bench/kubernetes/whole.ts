import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { clientDefaultsFile, MusterClient } from "@muster/client";
import { createPool } from "@muster/store";
import type { Thing } from "../../test/kubernetes/control-plane/api-client.ts";
import { ControlPlane } from "../../test/support/control-plane.ts";
import { apiCalls, between } from "./api-calls.ts";
import { byKubeScheduler } from "./binding.ts";
import { cpuOf, cpuOfAll } from "./cpu.ts";
import { FakeCluster, NAMESPACE, PODS } from "./fake-cluster.ts";
import { singles } from "./starts.ts";

const SUBMITTERS = 16;
const GIVE_UP = 240_000;
const POOL = "version: 1\nkind: pool\nname: fake\nengine: kubernetes\nvendor: nvidia\naccelerator: h100\nfabric_levels: []\nruntime: {image: any}\n";
/** A folder for the CPU profile of Muster's process. */
const PROFILES = process.env["MUSTER_BENCH_PROFILES"];

type Say = (text: string) => void;

/**
 * One-device jobs through all of Muster, a process of its own: its API, Postgres, scheduler, supervisor and engine, until the last one
 * runs: once from the first submission on, and once, as KAI's published figure is meant, from the moment when all wait and the nodes
 * come. Before that the same pods by kube-scheduler alone: what is left of the time is Muster's.
 */
export async function wholeMuster(jobs: number, nodes: number, say: Say): Promise<Record<string, number>> {
  const cluster = await FakeCluster.start(nodes);
  try {
    const spent = cpuMeter(() => cluster.cpu());
    const alone = await byKubeScheduler(cluster, singles(jobs, nodes));
    say(`${jobs} pods of one device on ${nodes} nodes by kube-scheduler alone: bound in ${alone.seconds.toFixed(1)} s`);
    say(`  CPU, ms a pod: ${each(spent(), jobs)}`);
    const arriving = await throughMuster(cluster, jobs, nodes, "arriving", say);
    await cluster.purge();
    const queued = await throughMuster(cluster, jobs, nodes, "queued", say);
    return {
      jobs_4000_on_500_nodes_s: tenths(arriving.seconds),
      jobs_4000_queued_s: tenths(queued.seconds),
      kube_scheduler_alone_4000_s: tenths(alone.seconds),
      ...Object.fromEntries(Object.entries(arriving.cpu).map(([name, ms]) => [`cpu_ms_per_job_${name.replaceAll(/\W/g, "_")}`, tenths(ms / jobs)])),
    };
  } finally {
    await cluster.stop();
  }
}

type Way = "arriving" | "queued";

async function throughMuster(cluster: FakeCluster, jobs: number, nodes: number, way: Way, say: Say): Promise<{ seconds: number; cpu: Record<string, number> }> {
  const control = new ControlPlane({ cluster: POOL });
  // it and its database end with the bench, however that ends
  const end = (): void => {
    if (control.running) process.kill(control.pid, "SIGTERM");
  };
  process.on("exit", end);
  try {
    await control.start({}, PROFILES === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${PROFILES}`]);
    const { server: url, token } = JSON.parse(readFileSync(clientDefaultsFile(control.stateDir), "utf8")) as { server: string; token: string };
    const client = new MusterClient({ url, token });
    if (way === "arriving") {
      await declare(client, cluster, way);
      await allFound(client, nodes);
    } else await submit(client, jobs);
    const spent = cpuMeter(() => ({ muster: cpuOf(control.pid), postgres: cpuOfAll(control.databasePid), ...cluster.cpu(), "the bench": ownCpu() }));
    const callsBefore = await apiCalls(cluster.plane.admin);
    const began = Date.now();
    await (way === "arriving" ? submit(client, jobs) : declare(client, cluster, way));
    await allRun(control, jobs);
    const seconds = (Date.now() - began) / 1000;
    say(
      `as jobs through all of Muster, ${way === "arriving" ? "from the first submission on" : "all of them waiting when the nodes come"}: all run after ${seconds.toFixed(1)} s`,
    );
    const cpu = spent();
    say(`  CPU, ms a job: ${each(cpu, jobs)}`);
    for (const [name, [first, last]] of await stages(control, cluster, began))
      say(`  ${name}: from ${first.toFixed(1)} to ${last.toFixed(1)} s, ${(jobs / Math.max(0.1, last - first)).toFixed(0)}/s`);
    const calls = between(callsBefore, await apiCalls(cluster.plane.admin)).filter(([, count]) => count >= jobs / 50);
    say(`  requests to the API server, of all who ask: ${calls.map(([name, count]) => `${name} ${count}`).join(", ")}`);
    return { seconds, cpu };
  } finally {
    process.off("exit", end);
    await control.close();
  }
}

async function submit(client: MusterClient, jobs: number): Promise<void> {
  let next = 0;
  // the nodes may be yet to come
  const job = { name: "one", pool: "fake", run: ["python3", "train.py"], resources: { accelerators: 1 }, allow_unfit: true };
  await Promise.all(
    Array.from({ length: SUBMITTERS }, async () => {
      while (next++ < jobs) await client.jobs.submit(job);
    }),
  );
}

async function declare(client: MusterClient, cluster: FakeCluster, name: string): Promise<void> {
  const pools = [{ pool: "fake", match: { kind: "fake" } }];
  await client.shards.put(name, { name, config: { kubeconfig: cluster.kubeconfig(), namespace: NAMESPACE, pools, logs: "none", bind_timeout: 600 } });
}

async function allFound(client: MusterClient, nodes: number): Promise<void> {
  for (const end = Date.now() + 60_000; ; await delay(200)) {
    const found = (await Array.fromAsync(client.nodes.list({ pool: "fake" }))).filter((one) => one.reachable).length;
    if (found === nodes) return;
    if (Date.now() > end) throw new Error(`Muster knows ${found} of ${nodes} nodes`);
  }
}

async function allRun(control: ControlPlane, jobs: number): Promise<void> {
  const pool = createPool(control.databaseUrl, "bench", { max: 1 });
  try {
    for (const end = Date.now() + GIVE_UP; ; await delay(200)) {
      const { rows } = await pool.query<{ state: string; count: number }>("SELECT state, count(*)::int FROM jobs GROUP BY state");
      const states = Object.fromEntries(rows.map(({ state, count }) => [state, count]));
      if (states["running"] === jobs) return;
      if (states["failed"] || Date.now() > end) throw new Error(`not all of ${jobs} jobs run: ${JSON.stringify(states)}`);
    }
  } finally {
    await pool.end();
  }
}

/** When the first and the last job came to each stage, in seconds; what Kubernetes tells is known to the second. */
async function stages(control: ControlPlane, cluster: FakeCluster, began: number): Promise<[string, [number, number]][]> {
  const [times] = await control.query<Record<string, Date>>(
    `SELECT min(submitted_at) AS s0, max(submitted_at) AS s1, min(scheduled_at) AS p0, max(scheduled_at) AS p1, min(starting_at) AS h0, max(starting_at) AS h1,
       min(a.started_at) AS r0, max(a.started_at) AS r1 FROM attempts a JOIN jobs j ON j.id = a.job`,
  );
  const pods = await cluster.plane.admin.list(`${PODS}?resourceVersion=0`);
  const created = pods.map((pod) => Date.parse(pod.metadata.creationTimestamp));
  const bound = pods.map((pod) => Date.parse(pod.status.conditions.find((one: Thing) => one.type === "PodScheduled").lastTransitionTime));
  const runs = pods.map((pod) => Date.parse(pod.status.startTime));
  const at = (time: Date | number | undefined): number => (Number(time ?? 0) - began) / 1000;
  return [
    ["submitted", [at(times?.["s0"]), at(times?.["s1"])]],
    ["placed", [at(times?.["p0"]), at(times?.["p1"])]],
    ["handed to the engine", [at(times?.["h0"]), at(times?.["h1"])]],
    ["pods created", [at(Math.min(...created)), at(Math.max(...created))]],
    ["bound", [at(Math.min(...bound)), at(Math.max(...bound))]],
    ["pods running", [at(Math.min(...runs)), at(Math.max(...runs))]],
    ["recorded as running", [at(times?.["r0"]), at(times?.["r1"])]],
  ];
}

/** What each part spends from now on, in CPU milliseconds. */
function cpuMeter(now: () => Record<string, number>): () => Record<string, number> {
  const before = now();
  return () => Object.fromEntries(Object.entries(now()).map(([name, spent]) => [name, spent - (before[name] ?? 0)]));
}

function each(cpu: Record<string, number>, count: number): string {
  return Object.entries(cpu)
    .map(([name, spent]) => `${name} ${(spent / count).toFixed(1)}`)
    .join(", ");
}

function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const tenths = (value: number): number => Math.round(value * 10) / 10;
