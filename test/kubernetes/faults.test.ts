import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Unreachable, type WorkerKey } from "@muster/engine";
import { conformanceStart } from "@muster/engine/conformance";
import type { KubernetesEngine } from "@muster/engine-kubernetes";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ApiProxy } from "./api-proxy.ts";
import { script } from "./behaviour.ts";
import type { Thing } from "./control-plane/api-client.ts";
import { EngineCluster, NAMESPACE, PODS, until } from "./engine-cluster.ts";
import { EngineWatch } from "./engine-watch.ts";
import { noControlPlane } from "./ready.ts";

const RUNS = script("echo up; exec sleep 600");
const GPUS = "nvidia.com/gpu";
const QUOTAS = `/api/v1/namespaces/${NAMESPACE}/resourcequotas`;
const HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

describe.skipIf(noControlPlane)("the Kubernetes engine, when things break", () => {
  let cluster: EngineCluster;
  let proxy: ApiProxy;
  let engine: KubernetesEngine;
  let watch: EngineWatch;
  let started: WorkerKey[] = [];

  beforeAll(async () => {
    const nodes = ["a", "b"].map((name) => ({ name, devices: { [GPUS]: "8" } }));
    cluster = await EngineCluster.start({ nodes, nodeGrace: 15, config: { bind_timeout: 20, start_timeout: 60 } });
    proxy = await ApiProxy.start(cluster.plane);
    engine = await cluster.open(proxy.url);
  });
  afterAll(async () => {
    await engine.close();
    await cluster.close();
    await proxy.close();
  });
  beforeEach(() => {
    started = [];
    watch = new EngineWatch(engine);
  });
  // whatever was broken: what is stopped ends, and nothing of it is left
  afterEach(async () => {
    proxy.deed = () => "pass";
    await patiently(() => engine.stop(started.map((key) => ({ ...key, mode: "kill", grace: 0 }))));
    await until("the end of all", () => started.every((key) => watch.of(key, "exited", "lost", "refused").length > 0));
    await patiently(() => engine.forget(started));
    await until("the last pod's end", async () => (await cluster.pods()).length === 0);
    await watch.close();
  });

  const gang = (size = 2): WorkerKey[] => {
    const job = `job_${randomUUID().slice(0, 8)}`;
    return Array.from({ length: size }, (_, rank) => ({ job, incarnation: "1", attempt: 1, worker: `worker/${rank}` }));
  };
  const order = (keys: readonly WorkerKey[], program = RUNS, devices = 8): Promise<void> => {
    started.push(...keys);
    const indices = Array.from({ length: devices }, (_, index) => index);
    const starts = keys.map((key, rank) =>
      conformanceStart(key, rank % 2 === 0 ? "a" : "b", program, { devices: { vendor: "nvidia", indices, share: 1000 }, gang: keys.length }),
    );
    return patiently(() => engine.start(starts));
  };
  const running = (keys: readonly WorkerKey[]): Promise<unknown> => until("the gang", () => keys.every((key) => watch.of(key, "started").length === 1));
  const uids = async (): Promise<string[]> => (await cluster.pods()).map((pod) => pod.metadata.uid as string).toSorted();
  const ended = (keys: readonly WorkerKey[]): unknown[] => keys.flatMap((key) => watch.of(key, "exited", "lost", "refused"));
  /** Nothing of a gang has run: no container of it was ever made. */
  const neverRan = async (keys: readonly WorkerKey[]): Promise<void> => {
    expect(keys.flatMap((key) => watch.of(key, "started"))).toEqual([]);
    expect((await cluster.pods()).filter((pod) => pod.spec.nodeName !== undefined)).toEqual([]);
  };
  const refusal = async (key: WorkerKey): Promise<string> => {
    await until("the refusal", () => watch.of(key, "refused").length > 0);
    return (watch.of(key, "refused")[0] as { reason: string }).reason;
  };

  it("API server restarted while a gang starts: it starts whole, and once", async () => {
    const keys = gang();
    const starting = order(keys);
    await cluster.plane.restartApiserver();
    await starting;
    await running(keys);
    expect(await cluster.pods()).toHaveLength(2);
    expect(ended(keys)).toEqual([]);
  });

  it("API server restarted, and its history thrown away (410), while a gang runs: the same pods go on, and their end is seen", async () => {
    const keys = gang();
    await order(keys, script("for i in $(seq 3000); do [ -e $MUSTER_CHECKPOINT_DIR/end ] && exit 3; sleep 0.2; done"));
    await running(keys);
    const before = await uids();
    proxy.deed = () => "break";
    await cluster.plane.restartApiserver({ down: 500 });
    await cluster.plane.admin.patch("/api/v1/nodes/a", { metadata: { labels: { changed: "yes" } } });
    await cluster.plane.compact();
    await cluster.plane.restartApiserver();
    const [forgotten, lists] = [proxy.forgotten, [] as string[]];
    proxy.deed = ({ method, path, watch: watching }) => {
      if (method === "GET" && !watching && /[?&]limit=/.test(path)) lists.push(path);
      return "pass";
    };
    await until("an answer", () =>
      engine.ping().then(
        () => true,
        () => false,
      ),
    );
    // its watch of its pods was told that its version is gone, and it has listed them again
    await until("410", () => proxy.forgotten > forgotten);
    await until("a list of its pods", () => lists.some((path) => path.startsWith(`${PODS}?`)));
    expect(ended(keys)).toEqual([]);
    expect(await uids()).toEqual(before);
    const next = gang(1);
    await order(next, script("exit 0"), 0);
    await until("an end of after", () => watch.of(next[0] as WorkerKey, "exited").length === 1);
  });

  it("a third of all requests answered 429 or 500: a gang starts whole, runs and ends once", async () => {
    let count = 0;
    proxy.deed = ({ watch: watching }) => {
      if (watching) return "pass";
      count++;
      return count % 6 === 0 ? { status: 500 } : count % 3 === 0 ? { status: 429, headers: { "retry-after": "0" } } : "pass";
    };
    const keys = gang();
    await order(keys, script("sleep 1; exit 4"));
    await until("both ends", () => keys.every((key) => watch.of(key, "exited").length === 1));
    expect(keys.map((key) => watch.of(key, "started").length)).toEqual([1, 1]);
    expect(keys.map((key) => (watch.of(key, "exited")[0] as { exitCode: number }).exitCode)).toEqual([4, 4]);
  });

  it("answers lost after the request was done: nothing is made twice", async () => {
    let count = 0;
    proxy.deed = ({ method }) => (method !== "GET" && count++ % 2 === 0 ? "lose answer" : "pass");
    const keys = gang();
    await order(keys);
    await running(keys);
    expect(await cluster.pods()).toHaveLength(2);
  });

  it("a watch that falls silent: what happened meanwhile is seen, and nothing healthy is touched", async () => {
    const [healthy, short] = [gang(), gang(1)];
    await order(healthy, RUNS, 0);
    await order(short, script("sleep 2; exit 5"), 0);
    await running([...healthy, ...short]);
    proxy.silence();
    const before = await uids();
    // its own write must come back by the watch: that it doesn't shows that the watch is dead
    const third = gang(1);
    await order(third, RUNS, 0);
    await until("the end that the watch didn't tell of", () => watch.of(short[0] as WorkerKey, "exited").length === 1);
    expect(ended(healthy)).toEqual([]);
    expect(await uids()).toEqual(expect.arrayContaining(before));
  });

  it("objects that others change at the same time: stops and starts still come through", async () => {
    const keys = gang();
    await order(keys);
    const over = new AbortController();
    const meddling = (async () => {
      for (let count = 0; !over.signal.aborted; count++) {
        for (const pod of await cluster.pods()) {
          await cluster.plane.admin.patch(`${PODS}/${pod.metadata.name}`, { metadata: { annotations: { meddled: String(count) } } }).catch(() => {});
        }
        await delay(20);
      }
    })();
    await running(keys);
    await engine.stop(keys.map((key) => ({ ...key, mode: "graceful", grace: 20 })));
    await until("both ends", () => keys.every((key) => watch.of(key, "exited").length === 1));
    over.abort();
    await meddling;
    expect(keys.map((key) => watch.of(key, "started", "exited").length)).toEqual([2, 2]);
  });

  it("a pod deleted by hand while it runs: its end is reported once, the rest of its gang goes on until it is told otherwise", async () => {
    const keys = gang();
    await order(keys);
    await running(keys);
    const [first] = await cluster.pods();
    await cluster.plane.admin.remove(`${PODS}/${first.metadata.name}`);
    await until("its end", () => ended(keys).length === 1);
    await delay(500);
    expect(ended(keys)).toHaveLength(1);
  });

  it("a node that is cordoned before the gang is released: none of it runs, and the reason names the node", async () => {
    await cluster.plane.admin.patch("/api/v1/nodes/b", { spec: { unschedulable: true } });
    try {
      const keys = gang();
      await order(keys);
      expect(await refusal(keys[1] as WorkerKey)).toMatch(/node b.*cordoned/);
      await neverRan(keys);
    } finally {
      await cluster.plane.admin.patch("/api/v1/nodes/b", { spec: { unschedulable: false } });
    }
  });

  it("a node cordoned and tainted under a running gang: it goes on", async () => {
    const keys = gang();
    await order(keys);
    await running(keys);
    const before = await uids();
    await cluster.plane.admin.patch("/api/v1/nodes/b", { spec: { unschedulable: true, taints: [{ key: "example.com/repair", effect: "NoSchedule" }] } });
    await delay(1500);
    expect(ended(keys)).toEqual([]);
    expect(await uids()).toEqual(before);
    await cluster.plane.admin.patch("/api/v1/nodes/b", { spec: { unschedulable: null, taints: null } });
  });

  it("a taint that evicts: the ends are reported as such", async () => {
    const keys = gang();
    await order(keys);
    await running(keys);
    await cluster.plane.admin.patch("/api/v1/nodes/b", { spec: { taints: [{ key: "example.com/off", effect: "NoExecute" }] } });
    await until("the evicted one's end", () => watch.of(keys[1] as WorkerKey, "exited", "lost").length === 1);
    expect(watch.of(keys[0] as WorkerKey, "exited", "lost")).toEqual([]);
    await cluster.plane.admin.patch("/api/v1/nodes/b", { spec: { taints: null } });
  });

  it("a foreign pod that takes the devices first: none of the gang's workers is taken for running, and the one left out is named", async () => {
    await cluster.plane.admin.create("/api/v1/namespaces/default/pods", {
      metadata: { name: "foreign" },
      spec: { nodeName: "b", containers: [{ name: "main", image: "any", command: ["sleep", "600"], resources: { limits: { [GPUS]: "1" } } }] },
    });
    await until("the foreign pod", async () => (await cluster.plane.admin.get("/api/v1/namespaces/default/pods/foreign")).status.phase === "Running");
    const keys = gang();
    await order(keys);
    expect(await refusal(keys[1] as WorkerKey)).toMatch(/Insufficient|UnexpectedAdmissionError/);
    expect(watch.of(keys[1] as WorkerKey, "started")).toEqual([]);
    await cluster.plane.admin.remove("/api/v1/namespaces/default/pods/foreign", { gracePeriodSeconds: 0 });
  });

  it("a device plugin that has lost a device after the pod was bound: named as that", async () => {
    cluster.node("a").rejectNext({ reason: "UnexpectedAdmissionError", message: "Pod was rejected: Allocate failed due to no healthy devices present" });
    const keys = gang(1);
    await order(keys);
    expect(await refusal(keys[0] as WorkerKey)).toMatch(/UnexpectedAdmissionError.*no healthy devices/);
  });

  it("a webhook that refuses one of a gang: none of it runs", async () => {
    const hook = await refusingWebhook(cluster.plane.tls, (pod) => pod.metadata.labels?.["muster.dev/rank"] === "1");
    const { cert } = cluster.plane.tls;
    await cluster.plane.admin.create(HOOKS, {
      metadata: { name: "refuses" },
      webhooks: [
        {
          name: "refuses.example.com",
          clientConfig: { url: `https://127.0.0.1:${(hook.address() as AddressInfo).port}/`, caBundle: Buffer.from(cert).toString("base64") },
          rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
          admissionReviewVersions: ["v1"],
          sideEffects: "None",
          failurePolicy: "Fail",
        },
      ],
    });
    try {
      // it takes the API server a moment to heed it
      await until("the webhook", async () => {
        const pod = { metadata: { name: "probe", labels: { "muster.dev/rank": "1" } }, spec: { containers: [{ name: "main", image: "any" }] } };
        return cluster.plane.admin.create("/api/v1/namespaces/default/pods?dryRun=All", pod).then(
          () => false,
          () => true,
        );
      });
      const keys = gang();
      await order(keys);
      expect(await refusal(keys[1] as WorkerKey)).toContain("not on my watch");
      await neverRan(keys);
    } finally {
      await cluster.plane.admin.remove(`${HOOKS}/refuses`);
      hook.closeAllConnections();
      await new Promise((resolve) => hook.close(resolve));
    }
  });

  it("a quota that has room for half of a gang: none of it runs", async () => {
    await cluster.plane.admin.create(QUOTAS, { metadata: { name: "half" }, spec: { hard: { pods: "1" } } });
    await until("the quota", async () => (await cluster.plane.admin.get(`${QUOTAS}/half`)).status.hard?.pods === "1");
    try {
      const keys = gang();
      await order(keys);
      await until("one refusal", () => keys.some((key) => watch.of(key, "refused").length > 0));
      const refused = keys.filter((key) => watch.of(key, "refused").length > 0);
      expect(refused).toHaveLength(1);
      expect(await refusal(refused[0] as WorkerKey)).toContain("exceeded quota");
      await neverRan(keys);
    } finally {
      await cluster.plane.admin.remove(`${QUOTAS}/half`);
    }
  });

  it("a Node object deleted under a running gang: it goes on, nothing is started there, and its end is seen when the node has registered again", async () => {
    const keys = gang();
    await order(keys);
    await running(keys);
    const before = await uids();
    await cluster.plane.admin.remove("/api/v1/nodes/b");
    await until("the engine's notice", async () => !(await engine.snapshot()).nodes.some(({ node }) => node === "b"));
    const other = gang(2).slice(1);
    started.push(...other);
    await patiently(() => engine.start([conformanceStart(other[0] as WorkerKey, "b", RUNS)]));
    expect(await refusal(other[0] as WorkerKey)).toContain("no node b");
    expect(ended(keys)).toEqual([]);
    expect(await uids()).toEqual(before);
    await cluster.node("b").die();
    await cluster.node("b").boot();
    await until("its end", () => watch.of(keys[1] as WorkerKey, "exited", "lost").length === 1);
    expect(watch.of(keys[0] as WorkerKey, "exited", "lost")).toEqual([]);
  });

  it("a node that dies: its worker has ended only when the node is back and says so", async () => {
    const keys = gang();
    await order(keys);
    await running(keys);
    await cluster.node("b").die();
    await until("the node's silence", async () =>
      (await cluster.plane.admin.get("/api/v1/nodes/b")).status.conditions.some((one: Thing) => one.type === "Ready" && one.status === "Unknown"),
    );
    expect(ended(keys)).toEqual([]);
    await cluster.node("b").boot();
    await until("its end", () => watch.of(keys[1] as WorkerKey, "exited", "lost").length === 1);
    expect(watch.of(keys[0] as WorkerKey, "exited", "lost")).toEqual([]);
  });
});

/** As a supervisor does: what can't be reached now is asked again. */
async function patiently(work: () => Promise<void>): Promise<void> {
  for (const end = Date.now() + 60_000; ; await delay(100)) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Unreachable) || Date.now() > end) throw error;
    }
  }
}

async function refusingWebhook(tls: { cert: string; key: string }, refuses: (pod: Thing) => boolean): Promise<Server> {
  const server = createServer(tls, (request, response) => {
    void (async () => {
      let text = "";
      for await (const chunk of request) text += String(chunk);
      const { request: review } = JSON.parse(text);
      const allowed = !refuses(review.object);
      response.setHeader("content-type", "application/json");
      const answer = { uid: review.uid, allowed, ...(!allowed && { status: { message: "not on my watch" } }) };
      response.end(JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: answer }));
    })();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
