import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { processesNaming } from "../../support/processes.ts";
import type { Thing } from "../control-plane/api-client.ts";
import { freePort } from "../../support/free-ports.ts";
import { ControlPlane } from "../control-plane/control-plane.ts";
import { noControlPlane } from "../ready.ts";
import type { Kubelet } from "./kubelet.ts";
import { startNodes } from "./test-nodes.ts";

const PODS = "/api/v1/namespaces/default/pods";

describe.skipIf(noControlPlane)("the kubelet of the tests", () => {
  let plane: ControlPlane;
  let kubelets: Kubelet[];
  let count = 0;

  beforeAll(async () => {
    plane = await ControlPlane.start({ nodeGrace: 15 });
    kubelets = await startNodes(plane, [
      { name: "a", devices: { "nvidia.com/gpu": "4" } },
      { name: "b", devices: { "nvidia.com/gpu": "4" } },
    ]);
  });
  afterAll(async () => {
    await Promise.all(kubelets.map((kubelet) => kubelet.close()));
    await plane.stop();
    if (processesNaming(plane.dir).length > 0) throw new Error(`left behind: ${JSON.stringify(processesNaming(plane.dir))}`);
  });

  const create = async (script: string, spec: Thing = {}, container: Thing = {}): Promise<string> => {
    const name = `pod-${count++}`;
    const main = { name: "main", image: "any", command: ["/bin/sh", "-c", script], ...container };
    await plane.admin.create(PODS, { metadata: { name }, spec: { restartPolicy: "Never", containers: [main], ...spec } });
    return name;
  };
  const get = (name: string): Promise<Thing> => plane.admin.find(`${PODS}/${name}`);
  const phase = (name: string, ...phases: string[]): Promise<Thing> =>
    until(async () => {
      const pod = await get(name);
      return phases.includes(pod?.status.phase) ? pod : undefined;
    });
  const ending = async (name: string): Promise<Thing> => (await phase(name, "Succeeded", "Failed")).status.containerStatuses[0].state.terminated;
  const log = (name: string, query = ""): Promise<string> => plane.admin.text("GET", `${PODS}/${name}/log${query}`);
  const printed = (name: string, text: string): Promise<unknown> => until(async () => (await log(name).catch(() => "")).includes(text));

  it("runs a command with its variables, files and devices, and reports its exit code, message and output", async () => {
    await plane.admin.create("/api/v1/namespaces/default/configmaps", { metadata: { name: "files" }, data: { greeting: "hello" } });
    await plane.admin.create("/api/v1/namespaces/default/secrets", { metadata: { name: "keys" }, stringData: { key: "opensesame" } });
    const name = await create(
      'cat /files/greeting; echo " $WHO $KEY $NVIDIA_VISIBLE_DEVICES"; id -u; echo why > /dev/termination-log; exit 3',
      { volumes: [{ name: "files", configMap: { name: "files" } }] },
      {
        env: [
          { name: "WHO", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
          { name: "KEY", valueFrom: { secretKeyRef: { name: "keys", key: "key" } } },
        ],
        volumeMounts: [{ name: "files", mountPath: "/files", readOnly: true }],
        resources: { limits: { "nvidia.com/gpu": "2" } },
      },
    );
    expect(await ending(name)).toMatchObject({ exitCode: 3, reason: "Error", message: "why\n" });
    expect(await log(name)).toBe(`hello ${name} opensesame 0,1\n65532\n`);
    expect(await log(name, "?timestamps=true&tailLines=1")).toMatch(/^\d{4}-\d\d-\d\dT[\d:]+\.\d{9}Z 65532\n$/);
  });

  it("asks a deleted pod to end, waits for its grace, and lets it go when it has ended", async () => {
    const name = await create('trap "echo asked; exit 0" TERM; echo ready; for i in $(seq 600); do sleep 0.1; done');
    await printed(name, "ready");
    const followed = log(name, "?follow=true");
    await plane.admin.remove(`${PODS}/${name}`, { gracePeriodSeconds: 60 });
    await until(async () => (await get(name)) === undefined);
    expect(await followed).toBe("ready\nasked\n");
    const stubborn = await create('trap "" TERM; echo ready; for i in $(seq 600); do sleep 0.1; done');
    await printed(stubborn, "ready");
    await plane.admin.remove(`${PODS}/${stubborn}`, { gracePeriodSeconds: 1 });
    await until(async () => (await get(stubborn)) === undefined);
  });

  it("tells a pod by its annotations what is asked of it", async () => {
    const volume = { name: "about", downwardAPI: { items: [{ path: "word", fieldRef: { fieldPath: "metadata.annotations['word']" } }] } };
    const name = await create(
      "for i in $(seq 600); do grep -q stop /about/word && exec cat /about/word; sleep 0.1; done; exit 1",
      { volumes: [volume] },
      { volumeMounts: [{ name: "about", mountPath: "/about" }] },
    );
    await phase(name, "Running");
    await plane.admin.patch(`${PODS}/${name}`, { metadata: { annotations: { word: "stop" } } });
    expect((await ending(name)).exitCode).toBe(0);
    expect(await log(name)).toBe("stop");
  });

  it("refuses a pod whose devices another one holds, names an image that can't be pulled, and tells of memory and evictions", async () => {
    const foreign = await create("sleep 100", { nodeName: "b" }, { resources: { limits: { "nvidia.com/gpu": "3" } } });
    await phase(foreign, "Running");
    const late = await create("true", { nodeName: "b" }, { resources: { limits: { "nvidia.com/gpu": "2" } } });
    expect((await phase(late, "Failed")).status).toMatchObject({ reason: "UnexpectedAdmissionError" });
    const missing = await create("true", {}, { image: "missing/image:1" });
    await until(async () => (await get(missing)).status.containerStatuses?.[0].state.waiting?.reason === "ImagePullBackOff");
    const hungry = await create("sleep 100", { nodeName: "a" });
    await phase(hungry, "Running");
    kubelets[0]?.runner("default", hungry)?.oomKill();
    expect(await ending(hungry)).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
    kubelets[1]?.runner("default", foreign)?.evict("The node was low on resource: memory.");
    expect((await phase(foreign, "Failed")).status).toMatchObject({ reason: "Evicted" });
  });

  it("finds a pod by its name", async () => {
    const port = await freePort();
    const server = await create(`exec python3 -u -m http.server --bind 0.0.0.0 ${port}`, { hostname: "server", subdomain: "gang" });
    await phase(server, "Running");
    const ask = `python3 -c 'import urllib.request as r; r.urlopen("http://server.gang:${port}")'`;
    const name = await create(`for i in $(seq 300); do ${ask} && exit 0; sleep 0.2; done; exit 1`);
    expect((await ending(name)).exitCode).toBe(0);
    await plane.admin.remove(`${PODS}/${server}`, { gracePeriodSeconds: 0 });
  });

  it("boots after its power was lost: what ran has failed, and the boot id is another", async () => {
    const [, kubelet] = kubelets as [Kubelet, Kubelet];
    const name = await create("echo up; sleep 100", { nodeName: "b" });
    await printed(name, "up");
    const { bootID } = (await plane.admin.get("/api/v1/nodes/b")).status.nodeInfo;
    await kubelet.die();
    await until(async () => (await plane.admin.get("/api/v1/nodes/b")).status.conditions.find((one: Thing) => one.type === "Ready").status === "Unknown");
    expect((await get(name)).status.phase).toBe("Running");
    await kubelet.boot();
    expect((await ending(name)).exitCode).toBe(137);
    expect((await plane.admin.get("/api/v1/nodes/b")).status.nodeInfo.bootID).not.toBe(bootID);
  });
});

async function until(look: () => Promise<Thing>): Promise<Thing> {
  for (const end = Date.now() + 60_000; ; await delay(50)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > end) throw new Error("it didn't come");
  }
}
