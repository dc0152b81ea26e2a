import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { Thing } from "../control-plane/api-client.ts";

/** Operators' Go modules, at the versions that the tests run or check against; of Prometheus' only the schema of a ServiceMonitor. */
const MODULES = {
  jobset: "sigs.k8s.io/jobset@v0.12.0",
  trainer: "github.com/kubeflow/trainer/v2@v2.2.0",
  kuberay: "github.com/ray-project/kuberay/ray-operator@v1.5.0",
  mpi: "github.com/kubeflow/mpi-operator@v0.7.0",
  training: "github.com/kubeflow/training-operator@v1.9.0",
  prometheus: "github.com/prometheus-operator/prometheus-operator@v0.85.0",
};
export type Module = keyof typeof MODULES;

const CRDS: Record<Module, string[]> = {
  jobset: ["config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml"],
  trainer: ["trainjobs", "trainingruntimes", "clustertrainingruntimes"].map((one) => `manifests/base/crds/trainer.kubeflow.org_${one}.yaml`),
  kuberay: ["config/crd/bases/ray.io_rayjobs.yaml"],
  mpi: ["manifests/base/kubeflow.org_mpijobs.yaml"],
  training: ["manifests/base/crds/kubeflow.org_pytorchjobs.yaml"],
  prometheus: ["example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"],
};

/** The folder of a module in Go's own cache. @throws where it can't be had */
function folderOf(module: Module): string {
  const answer = execFileSync("go", ["mod", "download", "-json", MODULES[module]], {
    encoding: "utf8",
    env: { ...process.env, GOFLAGS: "-mod=mod" },
    cwd: "/",
  });
  return (JSON.parse(answer) as { Dir: string }).Dir;
}

export function canFetch(module: Module): boolean {
  try {
    folderOf(module);
    return true;
  } catch {
    return false;
  }
}

export function readYaml(module: Module, path: string): Thing[] {
  return parseAllDocuments(readFileSync(join(folderOf(module), path), "utf8")).flatMap((document) => document.toJS() ?? []);
}

export function crdsOf(module: Module): Thing[] {
  return CRDS[module].flatMap((path) => readYaml(module, path));
}

/** Builds a command of a module once, into a cache outside the checkout, as its own go.mod pins it. */
export function buildCommand(module: Module, command: string): string {
  const folder = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "muster", "operators");
  const path = join(folder, MODULES[module].replaceAll(/[/@]/g, "_"));
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const part = `${path}.${process.pid}`;
  const env = { ...process.env, CGO_ENABLED: "0", GOWORK: "off" };
  execFileSync("go", ["build", "-buildvcs=false", "-trimpath", "-o", part, command], { cwd: folderOf(module), env, stdio: ["ignore", "ignore", "inherit"] });
  renameSync(part, path);
  return path;
}
