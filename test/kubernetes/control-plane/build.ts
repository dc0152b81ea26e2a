import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

/** The Go module that pins what is built. */
export const MODULE = join(import.meta.dirname, "..", "go");

/** A control plane can't be had on this machine. */
export class Missing extends Error {}

const PACKAGES = {
  etcd: "go.etcd.io/etcd/server/v3",
  "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
  "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
  "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
  kwok: "sigs.k8s.io/kwok/cmd/kwok",
  helm: "helm.sh/helm/v4/cmd/helm",
};

const run = promisify(execFile);

/**
 * Builds what the folder doesn't hold yet. One builder at a time: whoever waits finds Go's own cache warm. A binary appears
 * under its name only when it is whole.
 */
export async function build(folder: string, log: (line: string) => void, names: readonly (keyof typeof PACKAGES)[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const missing = names.filter((name) => !existsSync(join(folder, name)));
  if (missing.length === 0) return;
  const env = { ...process.env, CGO_ENABLED: "0", GOWORK: "off" };
  const go = (...words: string[]): Promise<unknown> => run("flock", [join(folder, ".lock"), "go", ...words], { cwd: MODULE, env, maxBuffer: 64 << 20 });
  log("fetching the Go modules of a Kubernetes control plane");
  await go("list", "-deps", "-f", "{{if false}}{{end}}", ...missing.map((name) => PACKAGES[name])).catch((error: Error) => {
    throw new Missing(`needs Go modules that can't be had here: ${error.message.trim().split("\n").at(-1)}`);
  });
  for (const [index, name] of missing.entries()) {
    log(`building ${name} of ${PACKAGES[name]}, ${index + 1} of ${missing.length}; minutes at first, kept in ${folder}`);
    const part = join(folder, `.${name}.${process.pid}`);
    await go("build", "-trimpath", "-ldflags", linkFlags(), "-o", part, PACKAGES[name]);
    renameSync(part, join(folder, name));
  }
}

/** Without its version linked in, an API server says that it is v0.0.0, and charts refuse it. */
function linkFlags(): string {
  const version = /k8s\.io\/kubernetes (v[\d.]+)/.exec(readFileSync(join(MODULE, "go.mod"), "utf8"))?.[1];
  return ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
    .map((place) => `-X ${place}.gitVersion=${version}`)
    .join(" ")
    .concat(" -s -w");
}
