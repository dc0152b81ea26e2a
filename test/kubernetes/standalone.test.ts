import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startStandalone, type Standalone } from "@muster/standalone";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pidsWhere } from "../support/processes.ts";
import { installRoles, SUPERVISOR } from "./chart-roles.ts";
import { ControlPlane } from "./control-plane/control-plane.ts";
import type { Kubelet } from "./kubelet/kubelet.ts";
import { startNodes } from "./kubelet/test-nodes.ts";
import { noControlPlane } from "./ready.ts";

const torchHere = spawnSync("/usr/bin/python3", ["-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"]).status === 0;

/** Trains until it is killed; where it begins from a checkpoint, some steps more. */
const TRAIN = `
import os, time, torch, torch.distributed as dist
torch.set_num_threads(1)
dist.init_process_group("gloo")
rank, begin, weights = dist.get_rank(), 0, torch.zeros(4)
found = os.path.join(os.environ["MUSTER_RESUME_FROM"], "state.pt")
if os.path.isfile(found):
    state = torch.load(found)
    begin, weights = state["step"], state["weights"]
step = begin
while begin == 0 or step < begin + 10:
    gradient = torch.ones(4)
    dist.all_reduce(gradient)
    weights += gradient
    step += 1
    if rank == 0 and step % 5 == 0:
        new = os.path.join(os.environ["MUSTER_CHECKPOINT_DIR"], "new")
        path = os.path.join(os.environ["MUSTER_CHECKPOINT_DIR"], "step-%d" % step)
        os.makedirs(new)
        torch.save({"step": step, "weights": weights}, os.path.join(new, "state.pt"))
        os.rename(new, path)
        print("saved", step, path, flush=True)
    time.sleep(0.2)
if rank == 0:
    print("begins at", begin, "ended at", step, "with", int(weights.sum() / 4), flush=True)
`;

/** The whole of Muster over a cluster: declared, discovered, placed, run in pods, broken and brought back. */
describe.skipIf(noControlPlane)("Muster on a cluster", () => {
  let plane: ControlPlane;
  let kubelets: Kubelet[];
  let muster: Standalone;
  const stateDir = mkdtempSync("/tmp/muster-on-kubernetes-");

  beforeAll(async () => {
    plane = await ControlPlane.start({ nodeGrace: 10 });
    const devices = { "nvidia.com/gpu": "4" };
    const labels = (rack: string): Record<string, string> => ({
      gpu: "h100",
      zone: "z",
      rack,
      "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
      "nvidia.com/gpu.memory": "81559",
    });
    kubelets = await startNodes(plane, [
      { name: "gpu-a", devices, labels: labels("r1") },
      { name: "gpu-b", devices, labels: labels("r1") },
      { name: "gpu-c", devices, labels: labels("r2") },
      { name: "plain" },
    ]);
    await plane.admin.create("/api/v1/namespaces", { metadata: { name: "muster-jobs" } });
    // the chart's own namespace allows neither the nodes' network nor their folders
    await installRoles(plane, "jobs.createNamespace=false");
    const checkpoints = join(plane.dir, "checkpoints");
    mkdirSync(checkpoints);
    chmodSync(checkpoints, 0o777);
    chmodSync(plane.dir, 0o755);
    muster = await startStandalone({ logger: pino({ level: process.env["MUSTER_TEST_LOG"] ?? "silent" }), stateDir, port: 0 });
    await muster.client.pools.put("h100", {
      name: "h100",
      engine: "kubernetes",
      vendor: "nvidia",
      accelerator: "h100",
      fabric_levels: ["zone", "leaf"],
      runtime: { image: "any" },
    });
    await muster.client.shards.put("east", {
      name: "east",
      config: {
        kubeconfig: plane.kubeconfig(SUPERVISOR),
        pools: [{ pool: "h100", match: { gpu: "h100" } }],
        fabric: ["zone", "rack"],
        network: "host",
        helper_image: "any",
        volumes: { checkpoints: { host_path: checkpoints } },
        checkpoints: { volume: "checkpoints" },
      },
    });
  });
  afterAll(async () => {
    await muster?.stop({ workers: "kill" });
    await Promise.all((kubelets ?? []).map((kubelet) => kubelet.close()));
    await plane?.stop();
    rmSync(stateDir, { recursive: true, force: true });
  });

  const until = async <T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> => {
    for (const end = Date.now() + 120_000; ; await delay(50)) {
      const found = await look().catch(() => undefined);
      if (found !== undefined && found !== false) return found;
      if (Date.now() > end) throw new Error(`${what} didn't come`);
    }
  };
  const submit = async (name: string, script: string, more: object = {}): Promise<string> => {
    const job = await muster.client.jobs.submit({ name, pool: "h100", run: ["sh", "-c", script], resources: { accelerators: 4 }, ...more });
    return job.id;
  };
  const state = (id: string, ...states: string[]) =>
    until(`${states.join()} of ${id}`, async () => {
      const job = await muster.client.jobs.get(id);
      return states.includes(job.state) && job;
    });

  it("finds the nodes of its pools, with their place, devices and memory", async () => {
    const node = await until("the nodes", async () => {
      const nodes = (await Array.fromAsync(muster.client.nodes.list())).filter((one) => one.shard === "east");
      return nodes.length === 3 && nodes.every((one) => one.reachable) && nodes[0];
    });
    expect(node).toMatchObject({ name: "gpu-a", pool: "h100", fabric: ["z", "r1"], devices: 4, health: "ready", address: "127.0.0.1" });
    expect(node.labels["accelerator-model"]).toBe("NVIDIA-H100-80GB-HBM3");
  });

  it("runs a gang to its end, and leaves nothing behind", async () => {
    const id = await submit("gang", 'echo "rank $MUSTER_NODE_RANK of $MUSTER_NODE_COUNT sees $NVIDIA_VISIBLE_DEVICES"', { nodes: 3 });
    expect((await state(id, "succeeded", "failed")).state).toBe("succeeded");
    await until("no pods", async () => (await plane.admin.list("/api/v1/namespaces/muster-jobs/pods")).length === 0);
  });

  it("brings a job back from its sealed checkpoint after its node is lost, and takes the node back when it has booted", async () => {
    const id = await submit(
      "saving",
      'if [ -e "$MUSTER_RESUME_FROM/step" ]; then echo "resumed from $(cat "$MUSTER_RESUME_FROM/step")"; exit 0; fi; d=$MUSTER_CHECKPOINT_DIR/step-7; mkdir "$d"; echo 7 >"$d/step"; echo "saved 7 $d"; for i in $(seq 600); do sleep 0.5; done',
      { checkpoint: { committed: "^saved (?<step>\\d+) (?<path>\\S+)$" } },
    );
    await until("a sealed checkpoint", async () => (await muster.client.jobs.get(id)).latest_checkpoint?.step === 7);
    await until("its seal", async () => (await muster.client.jobs.checkpoints(id)).some((one) => one.sealed_path !== null));
    const [worker] = await muster.client.jobs.workers(id);
    const lost = kubelets.find((kubelet) => kubelet.name === worker?.node) as Kubelet;
    await lost.die();
    expect((await state(id, "succeeded", "failed")).state).toBe("succeeded");
    expect((await muster.client.jobs.get(id)).attempt).toBe(2);
    expect((await muster.client.nodes.get(lost.name)).reachable).toBe(false);
    await lost.boot();
    await until("the node back", async () => (await muster.client.nodes.get(lost.name)).reachable);
  }, 300_000);

  it.skipIf(!torchHere)(
    "trains under torchrun; a rank is killed, and the gang comes back with the weights of its sealed checkpoint",
    async () => {
      const program = join(plane.dir, "train.py");
      writeFileSync(program, TRAIN);
      chmodSync(program, 0o644);
      const { id } = await muster.client.jobs.submit({
        name: "train",
        pool: "h100",
        nodes: 2,
        resources: { accelerators: 1 },
        launcher: { kind: "torchrun", args: ["--role=trainer"] },
        run: [program],
        checkpoint: { committed: "saved (?<step>\\d+) (?<path>\\S+)$" },
      });
      const sealed = await until("a sealed checkpoint", async () => (await muster.client.jobs.checkpoints(id)).find((one) => one.sealed_path !== null));
      const ranks = pidsWhere((environment) => environment.get("MUSTER_JOB_ID") === id && environment.get("RANK") === "1");
      expect(ranks).toHaveLength(1);
      process.kill(ranks[0] as number, "SIGKILL");
      expect((await state(id, "succeeded", "failed")).state).toBe("succeeded");
      const attempts = await muster.client.jobs.attempts(id);
      expect(attempts, JSON.stringify(attempts)).toHaveLength(2);
      const log = Buffer.from((await muster.client.jobs.logPart(id, { attempt: 2, worker: "worker/0" })).bytes).toString();
      const [, resumed, ended, weight] = /begins at (\d+)[\s\S]*ended at (\d+) with (\d+)/.exec(log) ?? [];
      expect(Number(resumed)).toBeGreaterThanOrEqual(sealed.step);
      // two ranks add one each at every step: what was not restored would be missing
      expect(Number(weight)).toBe(2 * Number(ended));
    },
    300_000,
  );

  it("cordons what is cordoned, and counts others' pods", async () => {
    await plane.admin.patch("/api/v1/nodes/gpu-a", { spec: { unschedulable: true } });
    await until("the cordon", async () => (await muster.client.nodes.get("gpu-a")).health === "cordoned");
    await plane.admin.patch("/api/v1/nodes/gpu-a", { spec: { unschedulable: false } });
    await until("its end", async () => (await muster.client.nodes.get("gpu-a")).health === "ready");
    await plane.admin.create("/api/v1/namespaces/default/pods", {
      metadata: { name: "foreign" },
      spec: {
        nodeName: "gpu-a",
        restartPolicy: "Never",
        containers: [{ name: "c", image: "any", command: ["sleep", "300"], resources: { limits: { "nvidia.com/gpu": "3" } } }],
      },
    });
    expect(await until("its devices", async () => (await muster.client.nodes.get("gpu-a")).devices === 1)).toBe(true);
    await plane.admin.remove("/api/v1/namespaces/default/pods/foreign", { gracePeriodSeconds: 0 });
    await until("all devices again", async () => (await muster.client.nodes.get("gpu-a")).devices === 4);
  });
});
