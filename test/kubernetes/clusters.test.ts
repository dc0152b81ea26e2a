import { mkdtempSync, rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { startStandalone, type Standalone } from "@muster/standalone";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { commandOf, pidsWhere } from "../support/processes.ts";
import { ApiProxy } from "./api-proxy.ts";
import { installRoles, SUPERVISOR } from "./chart-roles.ts";
import { ControlPlane } from "./control-plane/control-plane.ts";
import type { Kubelet } from "./kubelet/kubelet.ts";
import { startNodes } from "./kubelet/test-nodes.ts";
import { noControlPlane } from "./ready.ts";

const LOST_AFTER = 12;
const WAITS = "for i in $(seq 1200); do sleep 0.2; done";

/** Muster over two shards of one control plane, each with its own namespace and nodes; one of them is reached through a proxy that can break. */
describe.skipIf(noControlPlane)("Muster on several clusters", () => {
  let plane: ControlPlane;
  let proxy: ApiProxy;
  let kubelets: Kubelet[] = [];
  let muster: Standalone;
  const stateDir = mkdtempSync("/tmp/muster-on-clusters-");

  beforeAll(async () => {
    plane = await ControlPlane.start({ nodeGrace: 10 });
    proxy = await ApiProxy.start(plane);
    kubelets = await startNodes(
      plane,
      [
        ["a", "east"],
        ["b", "east"],
        ["c", "west"],
      ].map(([name, cluster]) => ({ name: name as string, labels: { cluster: cluster as string } })),
    );
    muster = await startStandalone({ logger: pino({ level: process.env["MUSTER_TEST_LOG"] ?? "silent" }), stateDir, port: 0 });
    const { client } = muster;
    await client.cluster.putSettings({ silence: { suspect_after: "10s", lost_after: `${LOST_AFTER}s` } });
    for (const [name, server, prefix] of [
      ["east", plane.url, ""],
      ["west", proxy.url, "west-"],
    ] as const) {
      await installRoles(plane, `jobs.namespace=${name}-jobs`);
      await client.pools.put(name, { name, engine: "kubernetes", vendor: "none", accelerator: "cpu", fabric_levels: [], runtime: { image: "any" } });
      const pools = [{ pool: name, match: { cluster: name } }];
      const config = {
        kubeconfig: plane.kubeconfig(SUPERVISOR, server),
        namespace: `${name}-jobs`,
        node_prefix: prefix,
        pools,
        projects: { "*": { images: ["*"] } },
      };
      await client.shards.put(name, { name, config });
    }
  });
  afterAll(async () => {
    if (proxy) proxy.deed = () => "pass";
    await muster?.stop({ workers: "kill" });
    await Promise.all(kubelets.map((kubelet) => kubelet.close()));
    await proxy?.close();
    await plane?.stop();
    rmSync(stateDir, { recursive: true, force: true });
  });

  const until = async <T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> => {
    for (const end = Date.now() + 120_000; ; await delay(50)) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      if (Date.now() > end) throw new Error(`${what} didn't come`);
    }
  };
  const submit = async (pool: string, script: string, more: object = {}): Promise<string> =>
    (await muster.client.jobs.submit({ name: "job", pool, run: ["sh", "-c", script], ...more })).id;
  const state = (id: string, wanted: string) =>
    until(`${wanted} of ${id}`, async () => {
      const job = await muster.client.jobs.get(id);
      return job.state === wanted && job;
    });
  const node = (name: string) => muster.client.nodes.get(name);
  const pods = async (pool: string, job?: string): Promise<string[]> =>
    (await plane.admin.list(`/api/v1/namespaces/${pool}-jobs/pods`)).flatMap(({ metadata: { uid, labels } }) =>
      job === undefined || labels?.["muster.dev/job"] === job ? [uid as string] : [],
    );

  it("finds the nodes of each, named apart where the shard says so", async () => {
    await until("all nodes", async () => (await Array.fromAsync(muster.client.nodes.list())).filter((one) => one.reachable && one.pool !== "host").length >= 3);
    expect([(await node("a")).pool, (await node("b")).pool, (await node("west-c")).pool]).toEqual(["east", "east", "west"]);
  });

  it("keeps output when the pod is gone, and has what the cluster says of a pod on the job's timeline", async () => {
    const id = await submit("east", "echo kept");
    await state(id, "succeeded");
    await until("no pods", async () => (await pods("east")).length === 0);
    expect(Buffer.from((await muster.client.jobs.logPart(id, { attempt: 1, worker: "worker/0" })).bytes).toString()).toBe("kept\n");
    const missing = await submit("east", "true", { image: "missing/train:1" });
    const notice = await until("the notice", async () =>
      (await Array.fromAsync(muster.client.jobs.events(missing))).find(({ kind, data }) => kind === "worker.notice" && data["reason"] === "ImagePullBackOff"),
    );
    expect(notice.data["message"]).toContain("missing/train:1");
    await muster.client.jobs.act(missing, "cancel");
    await state(missing, "cancelled");
  });

  it("takes a cluster that is away for unreachable: its jobs are not failed, the other cluster goes on, and all is found again", async () => {
    const id = await submit("west", WAITS);
    await state(id, "running");
    const before = await pods("west");
    proxy.deed = () => "break";
    proxy.drop();
    // well beyond the time after which a silent node of a cluster that answers is lost
    const gone = Date.now();
    await until(
      "a long silence",
      async () => Date.now() - gone > 2 * LOST_AFTER * 1000 && (await muster.client.jobs.get(id)).conditions.includes("unreachable"),
    );
    expect(await node("west-c")).toMatchObject({ reachable: false, health: "suspect" });
    expect(await muster.client.jobs.get(id)).toMatchObject({ state: "running", attempt: 1 });
    await state(await submit("east", "true"), "succeeded");
    proxy.deed = () => "pass";
    await until("west again", async () => (await node("west-c")).reachable);
    await until("the job's reach", async () => !(await muster.client.jobs.get(id)).conditions.includes("unreachable"));
    expect(await muster.client.jobs.get(id)).toMatchObject({ state: "running", attempt: 1 });
    expect(await pods("west")).toEqual(before);
    await muster.client.jobs.act(id, "cancel");
    await state(id, "cancelled");
  }, 240_000);

  it("follows a cluster that is declared anew under a job, which goes on and ends as if nothing had been", async () => {
    const id = await submit("east", "echo before; sleep 600; echo after");
    await state(id, "running");
    const before = await pods("east", id);
    const east = await muster.client.shards.get("east");
    await muster.client.shards.put("east", { name: "east", config: { ...east.config, projects: { "*": { images: ["only/this:*"] } } } });
    // what was declared before lets it run
    const isRefused = async (): Promise<boolean> => {
      const other = await submit("east", "true", { image: "any/train:1" });
      const told = await until("its end or its refusal", async () => {
        const job = await muster.client.jobs.get(other);
        return (job.finished_at !== null || job.failure !== null) && job;
      });
      if (told.finished_at === null) await muster.client.jobs.act(other, "cancel");
      return told.failure !== null && JSON.stringify(told.failure).includes("isn't allowed");
    };
    await until("a refusal by what is declared now", isRefused);
    expect(await pods("east", id)).toEqual(before);
    for (const pid of pidsWhere((env) => env.get("MUSTER_JOB_ID") === id)) if (commandOf(pid)[0] === "sleep") process.kill(pid, "SIGKILL");
    expect(await state(id, "succeeded")).toMatchObject({ attempt: 1 });
    await until("all of its output", async () =>
      /^before\n[^]*after\n$/.test(Buffer.from((await muster.client.jobs.logPart(id, { attempt: 1, worker: "worker/0" })).bytes).toString()),
    );
    await muster.client.shards.put("east", { name: "east", config: east.config });
    await until("a start by what was declared before", async () => !(await isRefused()));
  }, 240_000);

  it("gives a node that comes back without a reboot no work until what ran there is confirmed dead", async () => {
    const id = await submit("east", WAITS, { recovery: { partition: "supersede" } });
    await state(id, "running");
    const [worker] = await muster.client.jobs.workers(id);
    const cut = kubelets.find(({ name }) => name === worker?.node) as Kubelet;
    const old = (): number[] => pidsWhere((env) => env.get("MUSTER_JOB_ID") === id && env.get("MUSTER_ATTEMPT") === "1");
    const { bootId } = cut;
    cut.cut();
    await until("attempt 2", async () => {
      const job = await muster.client.jobs.get(id);
      return job.attempt === 2 && job.state === "running";
    });
    expect((await node(cut.name)).reachable).toBe(false);
    expect(old().length).toBeGreaterThan(0);
    cut.mend();
    await until("the node again", async () => {
      if (!(await node(cut.name)).reachable) return false;
      expect(old()).toEqual([]);
      return true;
    });
    expect(cut.bootId).toBe(bootId);
    await muster.client.jobs.act(id, "cancel");
    await state(id, "cancelled");
  }, 240_000);
});
