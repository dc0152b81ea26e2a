import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { build, Missing, MODULE } from "./build.ts";

/** What a control plane is made of, and the two that only some tests use. */
export const NEEDED = ["etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager"] as const;
export const BESIDE = ["kwok", "helm"] as const;

export type Binaries = Record<(typeof NEEDED)[number], string> & Partial<Record<(typeof BESIDE)[number], string>>;

const WHERE = "in the folder that KUBEBUILDER_ASSETS names, or on PATH, or Go 1.26 to build them";

/**
 * Finds the binaries as envtest does: in the folder that `KUBEBUILDER_ASSETS` names, or on PATH. What is not there is built
 * once, where Go is, into a cache outside the checkout.
 *
 * @throws {Missing} with one line that says what is needed
 */
export async function binaries(log: (line: string) => void): Promise<Binaries> {
  const found = Object.fromEntries([...NEEDED, ...BESIDE].map((name) => [name, find(name)]));
  if ([...NEEDED, ...BESIDE].some((name) => found[name] === undefined) && canBuild()) {
    const folder = cacheFolder();
    // a set from one source: versions of different places don't go together
    const sets = NEEDED.every((name) => found[name] !== undefined) ? BESIDE.filter((name) => found[name] === undefined) : [...NEEDED, ...BESIDE];
    await build(folder, log, sets);
    for (const name of sets) found[name] = join(folder, name);
  }
  const missing = NEEDED.filter((name) => found[name] === undefined);
  if (missing.length > 0) throw new Missing(`needs ${missing.join(", ")} ${WHERE}`);
  return found as Binaries;
}

function find(name: string): string | undefined {
  const folders = process.env["KUBEBUILDER_ASSETS"]?.split(delimiter) ?? process.env["PATH"]?.split(delimiter) ?? [];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function canBuild(): boolean {
  try {
    const [major, minor] = execFileSync("go", ["env", "GOVERSION"], { encoding: "utf8", cwd: tmpdir() }).replace("go", "").split(".").map(Number);
    return (major ?? 0) > 1 || (minor ?? 0) >= 26;
  } catch {
    return false;
  }
}

/** Another pin is another folder: nothing in the cache is ever changed. */
function cacheFolder(): string {
  const pins = createHash("sha256");
  for (const file of ["go.mod", "go.sum"]) pins.update(readFileSync(join(MODULE, file)));
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(cache, "muster", "kubernetes", pins.digest("hex").slice(0, 16));
}
