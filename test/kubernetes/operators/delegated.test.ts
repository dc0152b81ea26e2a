import { randomBytes } from "node:crypto";
import type { WorkerStart } from "@muster/engine";
import { delegatedObject, KINDS, KubernetesEngine, KubernetesShard, type DelegatedGang, type News } from "@muster/engine-kubernetes";
import { DELEGATED_LAUNCHERS, kubernetesConfig, type DelegatedLauncher } from "@muster/model";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AUDIT, granted, installRoles, SUPERVISOR, used } from "../chart-roles.ts";
import type { Thing } from "../control-plane/api-client.ts";
import { ControlPlane } from "../control-plane/control-plane.ts";
import type { Kubelet } from "../kubelet/kubelet.ts";
import { startNodes } from "../kubelet/test-nodes.ts";
import { noControlPlane } from "../ready.ts";
import { canFetch } from "./modules.ts";
import { installCrds, startOperators } from "./operators.ts";

/*
 * Gangs handed to operators on a real API server, whose pods run as processes by the small kubelet. JobSet and Trainer run; of Ray,
 * MPI and PyTorch the schemas are there, and the test says what their operators would.
 */

function said(type: string): object {
  const at = "2026-01-01T00:00:00Z";
  return {
    conditions: [{ type, status: "True", reason: "Test", message: "as the test says", lastTransitionTime: at, lastUpdateTime: at }],
    replicaStatuses: {},
  };
}

const NODES = ["node-a", "node-b", "node-c"];
const RESOURCE = "nvidia.com/gpu";
/** Runs until it is told to end; process 1 of a pod ends on no signal that it doesn't handle. */
const LONG = "trap 'exit 143' TERM; sleep 600 & wait";

describe.skipIf(noControlPlane || !canFetch("jobset"))("gangs handed to operators", () => {
  let plane: ControlPlane;
  let kubelets: Kubelet[] = [];
  let operators: { stop(): Promise<void>; log(): string };
  let shard: KubernetesShard;
  let engine: KubernetesEngine;
  let roles: Thing[] = [];
  const news: News[] = [];
  let following = new AbortController();

  /** A supervisor's use of the cluster, from its beginning. */
  const open = async (): Promise<void> => {
    const config = kubernetesConfig.parse({ kubeconfig: plane.kubeconfig(SUPERVISOR), namespace: "default", image: "train:1", pools: [{ pool: "h800" }] });
    shard = await KubernetesShard.open({ shard: "test", config, vendors: { h800: "nvidia" }, logger: pino({ level: "silent" }) });
    engine = new KubernetesEngine(shard);
    following = new AbortController();
    const { epoch, seq } = await engine.snapshot();
    void (async () => {
      for await (const batch of engine.observe(epoch, seq, following.signal)) news.push(...batch);
    })();
  };
  const close = async (): Promise<void> => {
    following.abort();
    await engine.close();
    await shard.close();
  };

  beforeAll(async () => {
    plane = await ControlPlane.start({ nodeGrace: 60, audit: AUDIT });
    await installCrds(plane, "jobset", "trainer", "kuberay", "mpi", "training");
    roles = await installRoles(
      plane,
      "jobs.namespace=default",
      "jobs.createNamespace=false",
      ...DELEGATED_LAUNCHERS.map((kind) => `jobs.delegate.${kind}=true`),
    );
    kubelets = await startNodes(
      plane,
      [...NODES, "node-other"].map((name) => ({ name, devices: { [RESOURCE]: "8" } })),
    );
    operators = await startOperators(plane);
    await plane.admin.create("/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes", {
      apiVersion: "trainer.kubeflow.org/v1alpha1",
      kind: "ClusterTrainingRuntime",
      metadata: { name: "torch-distributed", labels: { "trainer.kubeflow.org/framework": "torch" } },
      spec: {
        mlPolicy: { numNodes: 1, torch: {} },
        template: {
          spec: {
            // an operator that starts anew by itself would do so within Muster's attempt
            failurePolicy: { maxRestarts: 0 },
            replicatedJobs: [
              {
                name: "node",
                template: {
                  metadata: { labels: { "trainer.kubeflow.org/trainjob-ancestor-step": "trainer" } },
                  spec: { backoffLimit: 0, template: { spec: { restartPolicy: "Never", containers: [{ name: "node", image: "pytorch:1" }] } } },
                },
              },
            ],
          },
        },
      },
    });
    await open();
  }, 1_800_000);
  afterAll(async () => {
    if (shard) await close();
    await operators?.stop();
    await Promise.all(kubelets.map((kubelet) => kubelet.close()));
    await plane?.stop();
  });

  const starts = (
    kind: DelegatedLauncher,
    nodes: readonly string[],
    script: string,
    attempt = 1,
    job = `job_${randomBytes(4).toString("hex")}`,
  ): WorkerStart[] =>
    nodes.map((node, nodeRank) => ({
      job,
      incarnation: "7",
      attempt,
      worker: `worker/${nodeRank}`,
      node,
      project: "default",
      role: "worker",
      nodeRank,
      argv: ["/bin/sh", "-c", script.replaceAll("$", "$$$$")],
      env: { MUSTER_JOB_ID: job },
      files: [],
      devices: { vendor: "nvidia", indices: [0, 1, 2, 3, 4, 5, 6, 7], share: 1000 },
      limits: { cpus: 8, memory: 1 << 30 },
      secrets: [],
      mounts: [],
      token: "none",
      delegated: { kind },
      checkpoint: { reports: false },
      progress: { preset: "muster" },
      watch: [],
      firstRank: nodeRank * 8,
      ranks: 8,
    }));
  const begin = async (workers: readonly WorkerStart[]): Promise<string> => {
    await engine.start([...workers]);
    return workers[0]?.job ?? "";
  };
  const podsOf = async (job: string): Promise<Thing[]> => plane.admin.list(`/api/v1/namespaces/default/pods?labelSelector=muster.dev/job=${job}`);
  const newsOf = (job: string, kind: News["kind"]): Thing[] => news.filter((one) => "job" in one && one.job === job && one.kind === kind);
  /** Waits until kube-scheduler has bound all of a gang. @returns nodes */
  const bound = async (job: string, count: number): Promise<string[]> => {
    let nodes: string[] = [];
    const look = async (): Promise<number> => {
      nodes = (await podsOf(job)).flatMap((pod: Thing) => pod.spec.nodeName ?? []);
      return nodes.length;
    };
    await expect
      .poll(look, { timeout: 60_000 })
      .toBe(count)
      .catch(async (error: unknown) => {
        throw new Error(`${String(error)}: ${JSON.stringify((await podsOf(job)).map((pod: Thing) => pod.status))} ${operators.log()}`);
      });
    return nodes.toSorted();
  };
  /** Exit codes or signals of an attempt's workers, in order. */
  const endsOf = (job: string, attempt: number): unknown[] =>
    newsOf(job, "exited").flatMap((one) => (one.attempt === attempt ? [one.exitCode ?? one.signal] : []));
  const LIMIT = { timeout: 90_000 };

  describe.each(["jobset", "trainjob"] as const)("%s", (kind) => {
    it("is pinned to its placement, resumed, runs and finishes, with its ranks told by the operator", async () => {
      const job = await begin(starts(kind, ["node-a", "node-c"], 'echo "rank $JOB_COMPLETION_INDEX of $PET_NNODES, $MUSTER_JOB_ID"; sleep 5'));
      expect(await bound(job, 2)).toEqual(["node-a", "node-c"]);
      const names = (await podsOf(job)).map((pod: Thing) => pod.metadata.name);
      await expect.poll(() => endsOf(job, 1), LIMIT).toEqual([0, 0]);
      expect(newsOf(job, "started").map((one) => one.worker)).toEqual(["worker/0", "worker/1"]);
      const logs = await Promise.all(names.map((name) => plane.admin.text("GET", `/api/v1/namespaces/default/pods/${name}/log`)));
      expect(logs.toSorted()).toEqual([`rank 0 of 2, ${job}\n`, `rank 1 of 2, ${job}\n`]);
      await engine.forget([{ job, incarnation: "7", attempt: 1 }]);
      const path = `/apis/${KINDS[kind].apiVersion}/namespaces/default/${KINDS[kind].plural}?labelSelector=muster.dev/job=${job}`;
      await expect.poll(async () => (await plane.admin.list(path)).length, { timeout: 60_000 }).toBe(0);
      await expect.poll(async () => (await podsOf(job)).length, { timeout: 60_000 }).toBe(0);
    });

    it("is killed, which counts when its kubelets confirm it, and the next attempt runs elsewhere and finishes", async () => {
      const first = starts(kind, ["node-a", "node-b"], LONG);
      const job = await begin(first);
      await bound(job, 2);
      await expect.poll(() => newsOf(job, "started").length, { timeout: 120_000 }).toBe(2);
      await engine.stop(first.map(({ job: of, incarnation, attempt, worker }) => ({ job: of, incarnation, attempt, worker, mode: "kill", grace: 0 })));
      await expect.poll(() => endsOf(job, 1), LIMIT).toEqual(["SIGKILL", "SIGKILL"]);
      expect(await podsOf(job)).toEqual([]);
      await begin(starts(kind, ["node-b", "node-c"], "true", 2, job));
      await expect.poll(() => endsOf(job, 2), LIMIT).toEqual([0, 0]);
    });

    it("fails with the exit code of the pod that failed, once no other lives", async () => {
      const job = await begin(starts(kind, ["node-a", "node-b"], 'if [ "$JOB_COMPLETION_INDEX" = 1 ]; then sleep 2; exit 3; fi; ' + LONG));
      await bound(job, 2);
      const failing = (await podsOf(job)).find((pod: Thing) => pod.metadata.labels["batch.kubernetes.io/job-completion-index"] === "1");
      await expect.poll(() => endsOf(job, 1), LIMIT).toEqual(failing?.spec.nodeName === "node-a" ? [3, "SIGTERM"] : ["SIGTERM", 3]);
    });
  });

  /** What their operators say of an object, as its schema lets them. */
  const SAID: Record<"rayjob" | "mpijob" | "pytorchjob", { running: object; failed: object; succeeded: object }> = {
    rayjob: {
      running: { jobDeploymentStatus: "Running", jobStatus: "RUNNING" },
      failed: { jobDeploymentStatus: "Complete", jobStatus: "FAILED", message: "entrypoint ended with 1" },
      succeeded: { jobDeploymentStatus: "Complete", jobStatus: "SUCCEEDED" },
    },
    mpijob: { running: said("Running"), failed: said("Failed"), succeeded: said("Succeeded") },
    pytorchjob: { running: said("Running"), failed: said("Failed"), succeeded: said("Succeeded") },
  };
  describe.each(["rayjob", "mpijob", "pytorchjob"] as const)("a %s, of whose operator the test does the saying", (kind) => {
    const { apiVersion, plural, suspend } = KINDS[kind];
    const path = `/apis/${apiVersion}/namespaces/default/${plural}`;
    const objectOf = async (job: string): Promise<Thing> => (await plane.admin.list(`${path}?labelSelector=muster.dev/job=${job}`))[0];
    const say = async (job: string, status: object): Promise<void> => {
      await plane.admin.patch(`${path}/${(await objectOf(job))?.metadata.name}/status`, { status });
    };
    const isSuspended = async (job: string): Promise<unknown> => suspend.reduce((at: Thing, field) => at?.[field], (await objectOf(job))?.spec);

    it.each([
      ["succeeded", 0],
      ["failed", 1],
    ] as const)("is let go, runs and has %s, and its object goes when that is recorded", async (end, code) => {
      const job = await begin(starts(kind, ["node-a", "node-c"], "true"));
      await expect.poll(() => isSuspended(job), LIMIT).toBe(false);
      await say(job, SAID[kind].running);
      await expect.poll(() => newsOf(job, "started").map((one) => one.worker), LIMIT).toEqual(["worker/0", "worker/1"]);
      await say(job, SAID[kind][end]);
      await expect.poll(() => endsOf(job, 1), LIMIT).toEqual([code, code]);
      await engine.forget([{ job, incarnation: "7", attempt: 1 }]);
      await expect.poll(() => objectOf(job), LIMIT).toBeUndefined();
    });

    it("is stopped by the end of its object", async () => {
      const job = await begin(starts(kind, ["node-a"], "true"));
      await expect.poll(() => isSuspended(job), LIMIT).toBe(false);
      await engine.stop([{ job, incarnation: "7", attempt: 1, worker: "worker/0", mode: "graceful", grace: 5 }]);
      await expect.poll(() => endsOf(job, 1), LIMIT).toEqual(["SIGTERM"]);
      expect(await objectOf(job)).toBeUndefined();
    });
  });

  it("is taken up by the next engine", async () => {
    const job = await begin(starts("jobset", ["node-a"], LONG));
    await bound(job, 1);
    await close();
    await open();
    const known = (await engine.snapshot()).workers.filter((one) => one.job === job);
    expect(known).toMatchObject([{ worker: "worker/0", node: "node-a", attempt: 1, incarnation: "7", exitCode: null, stopping: false }]);
    await engine.stop([{ job, incarnation: "7", attempt: 1, worker: "worker/0", mode: "graceful", grace: 5 }]);
    await expect.poll(() => endsOf(job, 1), LIMIT).toEqual(["SIGTERM"]);
  });

  it("is let go, and runs nothing, where a node of it is no longer good", async () => {
    await plane.admin.patch("/api/v1/nodes/node-b", { spec: { unschedulable: true } });
    await expect.poll(() => shard.nodes.unfit("node-b"), LIMIT).toBeDefined();
    const job = await begin(starts("jobset", ["node-a", "node-b"], "true"));
    await expect
      .poll(() => newsOf(job, "refused").map((one) => [one.worker, one.reason.split(":")[0]]), LIMIT)
      .toEqual([
        ["worker/0", "node node-b"],
        ["worker/1", "node node-b"],
      ]);
    expect(await podsOf(job)).toEqual([]);
    await plane.admin.patch("/api/v1/nodes/node-b", { spec: { unschedulable: null } });
  });

  const gang: Omit<DelegatedGang, "kind" | "nodes"> = {
    name: "checked",
    namespace: "default",
    labels: {},
    image: "train:1",
    command: ["python3", "train.py"],
    env: { A: "b" },
    resources: { cpu: "8", memory: "1Gi", [RESOURCE]: "8" },
    ranksPerNode: 8,
    priorityClass: "muster-worker",
    tolerations: [{ key: RESOURCE, operator: "Exists" }],
    grace: 30,
  };
  it.each(DELEGATED_LAUNCHERS.flatMap((kind) => [1, 3].map((count) => [kind, count] as const)))(
    "a %s of %i nodes is accepted by its own schema, with no field left out",
    async (kind, count) => {
      const object = delegatedObject({ ...gang, kind, nodes: NODES.slice(0, count) });
      const { apiVersion, plural } = KINDS[kind];
      const path = `/apis/${apiVersion}/namespaces/default/${plural}/checked?dryRun=All&fieldManager=test&fieldValidation=Strict`;
      expect(await plane.admin.patch(path, object, "apply")).toMatchObject({
        kind: object.kind,
        spec: KINDS[kind].suspend.length === 1 ? { suspend: true } : { runPolicy: { suspend: true } },
      });
    },
  );

  it("needs each verb that the chart grants for the operators' objects", () => {
    const needed = granted(roles).filter((verb) => /^\w+ (trainjobs|jobsets|rayjobs|mpijobs|pytorchjobs) /.test(verb));
    expect(needed).toHaveLength(20);
    const once = used(plane);
    expect(needed.filter((verb) => !once.has(verb))).toEqual([]);
  });

  it("is refused where the cluster lacks the operator, which is named", async () => {
    await plane.admin.remove("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rayjobs.ray.io");
    await expect.poll(() => plane.admin.find("/apis/ray.io/v1"), { timeout: 60_000 }).toBeUndefined();
    const job = await begin(starts("rayjob", ["node-a"], "true"));
    expect(newsOf(job, "refused")[0].reason).toContain("the cluster has no RayJob (ray.io/v1); install its operator");
  });
});
