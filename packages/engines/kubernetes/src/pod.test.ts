import { describe, expect, test } from "vitest";
import { forbidden } from "./allowed.ts";
import { someConfig, somePod, someStart } from "./testing/objects.ts";

interface Spec {
  [field: string]: unknown;
  containers: {
    args: string[];
    env: { name: string; value?: string; valueFrom?: unknown }[];
    resources: unknown;
    securityContext: unknown;
    volumeMounts: { mountPath: string }[];
  }[];
  volumes: { name: string }[];
}
const specOf = (...args: Parameters<typeof somePod>): Spec => somePod(...args)["spec"] as Spec;

describe("a worker's pod", () => {
  test("is pinned to its node and pushes nobody out", () => {
    const spec = specOf(someStart());
    expect(spec["nodeName"]).toBeUndefined();
    expect(JSON.stringify(spec["affinity"])).toContain('"matchFields":[{"key":"metadata.name","operator":"In","values":["node-a"]}]');
    expect(spec).toMatchObject({ preemptionPolicy: "Never", priorityClassName: "muster-worker", restartPolicy: "Never", automountServiceAccountToken: false });
    expect(spec["schedulingGates"]).toBeUndefined();
    expect(specOf(someStart(), { gang: 2 })["schedulingGates"]).toEqual([{ name: "muster.dev/gang" }]);
  });

  test("has no rights beyond its own", () => {
    const spec = specOf(someStart());
    expect(spec["securityContext"]).toMatchObject({ runAsNonRoot: true, runAsUser: 10_001, seccompProfile: { type: "RuntimeDefault" } });
    expect(spec.containers[0]?.securityContext).toEqual({ allowPrivilegeEscalation: false, privileged: false, capabilities: { drop: ["ALL"] } });
  });

  test("asks for its devices, its memory and its storage", () => {
    const container = { trusted: true, env: {}, grace: 120, shm: 1 << 30, ephemeralStorage: 5 << 30 };
    const start = someStart({ devices: { vendor: "nvidia", indices: [0, 1], share: 1000 }, limits: { cpus: 1.5, memory: 4 << 30 }, container });
    const amounts = { cpu: "1500m", memory: String(4 << 30), "ephemeral-storage": String(5 << 30), "nvidia.com/gpu": "2" };
    const spec = specOf(start);
    expect(spec.containers[0]?.resources).toEqual({ requests: amounts, limits: amounts });
    expect(spec["terminationGracePeriodSeconds"]).toBe(120);
    expect(spec["tolerations"]).toContainEqual({ key: "nvidia.com/gpu", operator: "Exists" });
    expect(spec.volumes).toContainEqual({ name: "muster-shm", emptyDir: { medium: "Memory", sizeLimit: String(1 << 30) } });
  });

  test("text stays text: Muster's references are filled in, Kubernetes' own are none", () => {
    const start = someStart({ env: { PLAIN: "$(HOSTNAME) ${HOME}", PATHS: "${MUSTER_CHECKPOINT_DIR}" }, secrets: [{ env: "TOKEN", from: "hub/token" }] });
    const [container] = specOf(start).containers;
    expect(container?.args).toEqual(["python3", "/muster/run/train.py", "$$HOME"]);
    const env = new Map(container?.env.map((one) => [one.name, one.value ?? one.valueFrom]));
    expect(env.get("PLAIN")).toBe("$$(HOSTNAME) $${HOME}");
    expect(env.get("PATHS")).toBe(`/checkpoints/${start.job}/attempt-${start.incarnation}-3`);
    expect(env.get("TOKEN")).toEqual({ secretKeyRef: { name: "muster-default", key: "hub.token" } });
    expect(JSON.stringify(somePod(start))).not.toContain(start.token);
  });

  test("writes only to its own attempt's checkpoints", () => {
    const start = someStart();
    const mounts = specOf(start).containers[0]?.volumeMounts;
    expect(mounts).toContainEqual({
      name: "v-checkpoints",
      mountPath: `/checkpoints/${start.job}/attempt-${start.incarnation}-3`,
      subPath: `${start.job}/attempt-${start.incarnation}-3`,
    });
    expect(mounts).toContainEqual({
      name: "v-checkpoints",
      mountPath: `/checkpoints/${start.job}/committed`,
      subPath: `${start.job}/committed`,
      readOnly: true,
    });
  });
});

describe("what a project may use", () => {
  const rules = { images: ["registry.example/team/*"], service_accounts: ["loader"], volumes: ["data"], host_paths: [] as string[] };
  const check = (start: Parameters<typeof someStart>[0], projects: Record<string, unknown> = {}): string | undefined =>
    forbidden(someStart(start), someConfig({ projects }), "east");
  const container = { trusted: false, env: {}, grace: 30 };

  test("by default nothing but what an operator chose", () => {
    expect(check({})).toBeUndefined();
    expect(check({ container: { ...container, image: "anything:1" } })).toContain("projects.default.images");
    expect(check({ container: { ...container, image: "pool:1", trusted: true } })).toBeUndefined();
    expect(check({ container: { ...container, serviceAccount: "loader" } })).toContain("projects.default.service_accounts");
    expect(check({ mounts: [{ at: "/data", from: "data", readOnly: true }] })).toContain("projects.default.volumes");
  });

  test("what is named, and no more", () => {
    expect(check({ container: { ...container, image: "registry.example/team/train:2", serviceAccount: "loader" } }, { default: rules })).toBeUndefined();
    expect(check({ container: { ...container, image: "registry.example/other:2" } }, { default: rules })).toContain("images");
    // a host path needs leave of its own
    const mounts = [{ at: "/data", from: "data/sub", readOnly: true }];
    expect(check({ mounts }, { "*": rules })).toContain("host_paths");
    expect(check({ mounts }, { "*": { ...rules, host_paths: ["/mnt"] } })).toBeUndefined();
    expect(check({ mounts: [{ at: "/etc/ssl", from: "data", readOnly: true }] }, { "*": { ...rules, host_paths: ["/mnt"] } })).toContain(
      "nothing can be mounted",
    );
  });

  test("what can't be had on Kubernetes is said", () => {
    expect(check({ devices: { vendor: "nvidia", indices: [0], share: 250 } })).toContain("resources.share");
    expect(check({ source: { dir: "/home/x" } })).toContain("source.dir");
    expect(check({ source: { git: "https://git.example/x", commit: "abc" } })).toContain("helper_image");
  });
});
