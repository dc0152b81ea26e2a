import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import type { Thing } from "./control-plane/api-client.ts";
import { binaries } from "./control-plane/binaries.ts";
import { ControlPlane } from "./control-plane/control-plane.ts";
import { canFetch } from "./operators/modules.ts";
import { installCrds } from "./operators/operators.ts";
import { noControlPlane } from "./ready.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CHART = join(ROOT, "deploy/helm/muster");
const serviceMonitors = canFetch("prometheus");
/** All that the values can turn on; what needs CRDs of others, where they can be had. */
const ALL = [
  ...(serviceMonitors ? ["--set", "metrics.serviceMonitor.enabled=true"] : []),
  "--set",
  "api.tlsSecretName=muster-tls",
  "--set",
  "api.gitHosts={git.corp.example,10.1.0.0/16}",
  "--set",
  "logs.store=s3://logs/muster?region=x",
  "--set",
  "kubeconfigs.east=east",
  "--set",
  "jobs.delegate.trainjob=true",
];

describe.skipIf(noControlPlane)("the chart", () => {
  let plane: ControlPlane;
  let helm: (...words: string[]) => string;

  beforeAll(async () => {
    plane = await ControlPlane.start();
    if (serviceMonitors) await installCrds(plane, "prometheus");
    const path = (await binaries(() => {})).helm;
    if (path === undefined) throw new Error("helm is missing beside the control plane");
    const env = { ...process.env, HELM_CACHE_HOME: plane.dir, HELM_CONFIG_HOME: plane.dir, HELM_DATA_HOME: plane.dir, KUBECONFIG: plane.kubeconfig() };
    helm = (...words) => execFileSync(path, words, { encoding: "utf8", env });
  });
  afterAll(() => plane.stop());

  const render = (...words: string[]): Thing[] =>
    parseAllDocuments(helm("template", "muster", CHART, "--namespace", "muster", ...words)).flatMap((document) => document.toJS() ?? []);

  it("passes helm lint, with its values and with all turned on", () => {
    expect(helm("lint", "--strict", CHART)).toContain("1 chart(s) linted, 0 chart(s) failed");
    expect(helm("lint", "--strict", CHART, ...ALL)).toContain("1 chart(s) linted, 0 chart(s) failed");
  });

  it.each([
    ["api.replicas=0", "api/replicas"],
    ["image.repositry=x", "repositry"],
    ["logs.volumeClaim=", "logs"],
    ["networkPolicy.databasePort=99999", "databasePort"],
  ])("refuses %s, and names the value", (value, named) => {
    expect(() => helm("template", "muster", CHART, "--set", value)).toThrow(named);
  });

  it("is what the plain manifests were rendered from", async () => {
    await expect(helm("template", "muster", CHART, "--namespace", "muster")).toMatchFileSnapshot(join(ROOT, "deploy/kubernetes/muster.yaml"));
  });

  it("has two of each service, and grants only the supervisor anything", () => {
    const things = render();
    const deployments = things.filter((thing) => thing.kind === "Deployment");
    expect(deployments.map((thing) => [thing.metadata.name, thing.spec.replicas, thing.spec.template.spec.automountServiceAccountToken])).toEqual([
      ["muster-api", 2, false],
      ["muster-scheduler", 2, false],
      ["muster-supervisor", 2, true],
    ]);
    const bindings = things.filter((thing) => thing.kind.endsWith("RoleBinding"));
    expect(new Set(bindings.flatMap((binding) => binding.subjects.map((subject: Thing) => subject.name)))).toEqual(new Set(["muster-supervisor"]));
    const rules = things.filter((thing) => /^(Cluster)?Role$/.test(thing.kind)).flatMap((role) => role.rules);
    expect(JSON.stringify(rules)).not.toContain("*");
  });

  it.each([
    ["its values", []],
    ["all turned on", ALL],
  ])("passes a server-side dry run with %s", async (_, words) => {
    await plane.admin.create("/api/v1/namespaces", { metadata: { name: "muster" } }).catch(() => {});
    const things = render(...words);
    const jobs = things.find((thing) => thing.kind === "Namespace");
    // the one thing that others need to be there, even for a dry run
    await plane.admin.create("/api/v1/namespaces", { metadata: { name: jobs.metadata.name } }).catch(() => {});
    for (const thing of things) {
      const path = `${await collection(plane, thing)}/${thing.metadata.name}`;
      const answer = await plane.admin.patch(`${path}?dryRun=All&fieldManager=test&fieldValidation=Strict&force=true`, thing, "apply");
      expect(answer).toMatchObject({ kind: thing.kind, metadata: { name: thing.metadata.name } });
    }
    expect(await plane.admin.list("/apis/apps/v1/namespaces/muster/deployments")).toEqual([]);
  });

  it("is installed, upgraded and rolled back; what it made goes with it, but for the namespace of jobs", async () => {
    const words = ["muster", CHART, "--namespace", "muster-real", "--set", "jobs.namespace=muster-real-jobs"];
    expect(helm("install", ...words, "--create-namespace")).toContain("create-token.ts --subject root --role admin");
    const deployments = async (): Promise<Thing[]> => plane.admin.list("/apis/apps/v1/namespaces/muster-real/deployments");
    expect(await deployments()).toHaveLength(3);
    // its pods pass admission: kube-controller-manager makes them
    const components = async (): Promise<string[]> =>
      (await plane.admin.list("/api/v1/namespaces/muster-real/pods")).map((pod): string => pod.metadata.labels["app.kubernetes.io/component"]).toSorted();
    await expect.poll(components, { timeout: 60_000 }).toEqual(["api", "api", "scheduler", "scheduler", "supervisor", "supervisor"]);
    helm("upgrade", ...words, "--set", "scheduler.replicas=3");
    expect((await deployments()).map((thing) => thing.spec.replicas)).toEqual([2, 3, 2]);
    helm("rollback", "muster", "1", "--namespace", "muster-real");
    expect((await deployments()).map((thing) => thing.spec.replicas)).toEqual([2, 2, 2]);
    helm("uninstall", "muster", "--namespace", "muster-real");
    expect(await deployments()).toEqual([]);
    expect(await plane.admin.find("/api/v1/namespaces/muster-real-jobs")).toMatchObject({ status: { phase: "Active" } });
  });
});

/** The path of a thing's collection, as the API server itself names it. */
async function collection(plane: ControlPlane, thing: Thing): Promise<string> {
  const base = thing.apiVersion === "v1" ? "/api/v1" : `/apis/${thing.apiVersion}`;
  const { resources } = await plane.admin.get(base);
  const resource = resources.find((one: Thing) => one.kind === thing.kind && !one.name.includes("/"));
  return `${base}${resource.namespaced ? `/namespaces/${thing.metadata.namespace}` : ""}/${resource.name}`;
}
