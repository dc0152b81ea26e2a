import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";

/*
 * What this machine offers for control groups, found by trying: version 2 (to kill a group and to see it empty, and for
 * limits where its controllers are delegated), version 1 (limits), both at once (hybrid machines), or nothing.
 */

export interface CgroupBases {
  /** Group of version 2 that has `cgroup.kill`. */
  unified?: string;
  /** Where cpu and memory are limited. */
  cpu?: { path: string; version: 1 | 2 };
  memory?: { path: string; version: 1 | 2 };
}

const PERIOD_US = 100_000;

/** Finds or makes the groups below which workers get theirs. `name` is unique to the agent's state. */
export function detectCgroups(name: string, recorded: CgroupBases | undefined): { bases: CgroupBases; missing: string[] } {
  const kept = recorded && Object.values(recorded).every((base: string | { path: string }) => existsSync(typeof base === "string" ? base : base.path));
  const bases = kept ? recorded : findBases(name);
  const missing = [];
  if (!bases.unified) missing.push("cgroup v2 with cgroup.kill (processes are found by session, descent and environment instead)");
  if (!bases.cpu) missing.push("a cpu controller (cpus are not limited)");
  if (!bases.memory) missing.push("a memory controller (memory is not limited)");
  return { bases, missing };
}

function findBases(name: string): CgroupBases {
  const bases: CgroupBases = {};
  for (const { mount, version, controllers, own } of hierarchies()) {
    if (version === 2) {
      const base = join(mount, own, name);
      if (!makeGroup(base) || !existsSync(join(base, "cgroup.kill")) || !joinable(base)) continue;
      bases.unified = base;
      const parent = join(mount, own);
      const offered = read(join(parent, "cgroup.controllers")).split(/\s+/);
      for (const controller of ["cpu", "memory"] as const) {
        if (!offered.includes(controller)) continue;
        if (tryWrite(join(parent, "cgroup.subtree_control"), `+${controller}`) && tryWrite(join(base, "cgroup.subtree_control"), `+${controller}`))
          bases[controller] = { path: base, version: 2 };
      }
    } else {
      for (const controller of ["cpu", "memory"] as const) {
        if (!controllers.includes(controller) || bases[controller]) continue;
        const base = join(mount, own, name);
        if (makeGroup(base) && joinable(base)) bases[controller] = { path: base, version: 1 };
      }
    }
  }
  return bases;
}

function hierarchies(): { mount: string; version: 1 | 2; controllers: string[]; own: string }[] {
  const own = new Map<string, string>();
  for (const line of read("/proc/self/cgroup").split("\n")) {
    const [id, controllers, ...path] = line.split(":");
    if (id === "0" && controllers === "") own.set("", path.join(":"));
    else for (const controller of controllers?.split(",") ?? []) own.set(controller, path.join(":"));
  }
  const found: { mount: string; version: 1 | 2; controllers: string[]; own: string }[] = [];
  for (const line of read("/proc/self/mountinfo").split("\n")) {
    const [left, right] = line.split(" - ");
    const root = left?.split(" ")[3] ?? "/";
    const mount = left?.split(" ")[4];
    const [type, , options] = right?.split(" ") ?? [];
    if (!mount || (type !== "cgroup" && type !== "cgroup2")) continue;
    const controllers = type === "cgroup2" ? [] : (options?.split(",") ?? []);
    const path = type === "cgroup2" ? own.get("") : controllers.map((controller) => own.get(controller)).find((one) => one !== undefined);
    // in a container the mount's root may be below the real one
    const below = path === undefined ? "/" : path.startsWith(root) && root !== "/" ? path.slice(root.length) || "/" : path;
    found.push({ mount, version: type === "cgroup2" ? 2 : 1, controllers, own: below });
  }
  return found.sort((a, b) => b.version - a.version);
}

/** Whether a process that gave up its privileges can still join through a descriptor that the agent opened. */
function joinable(base: string): boolean {
  const probe = join(base, "probe");
  if (!makeGroup(probe)) return false;
  let ok = false;
  try {
    const descriptor = openSync(join(probe, "cgroup.procs"), "w");
    const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    ok = spawnSync("/bin/sh", ["-c", "echo 0 >&3"], { stdio: ["ignore", "ignore", "ignore", descriptor], ...nobody }).status === 0;
    closeSync(descriptor);
  } catch {
    ok = false;
  }
  removeGroup(probe);
  return ok;
}

/** One worker's groups: the same name in every hierarchy in use. Made once, used again for later workers. */
export class WorkerGroup {
  private readonly bases: CgroupBases;
  private readonly name: string;
  private readonly paths: string[];
  private cpuSet: number | undefined;
  private memorySet: number | undefined;
  private oomBefore = 0;

  constructor(bases: CgroupBases, name: string) {
    this.bases = bases;
    this.name = name;
    this.paths = [...new Set([bases.unified, bases.cpu?.path, bases.memory?.path])].flatMap((base) => (base === undefined ? [] : [join(base, name)]));
    for (const path of this.paths) mkdirSync(path, { recursive: true });
  }

  get exists(): boolean {
    return this.paths.length > 0;
  }

  /** Whether the kernel keeps the list of this worker's processes and can kill them all at once. */
  get confirms(): boolean {
    return this.bases.unified !== undefined;
  }

  /** Sets limits: cpus in cores, memory in bytes; 0 is no limit. */
  limit(cpus: number, memory: number): void {
    if (this.bases.cpu && this.cpuSet !== cpus) {
      const path = join(this.bases.cpu.path, this.name);
      const quota = Math.max(1000, Math.round(cpus * PERIOD_US));
      if (this.bases.cpu.version === 2) writeFileSync(join(path, "cpu.max"), `${cpus > 0 ? quota : "max"} ${PERIOD_US}`);
      else writeFileSync(join(path, "cpu.cfs_quota_us"), String(cpus > 0 ? quota : -1));
      this.cpuSet = cpus;
    }
    if (this.bases.memory && this.memorySet !== memory) {
      const path = join(this.bases.memory.path, this.name);
      if (this.bases.memory.version === 2) writeFileSync(join(path, "memory.max"), memory > 0 ? String(Math.ceil(memory)) : "max");
      else writeFileSync(join(path, "memory.limit_in_bytes"), memory > 0 ? String(Math.ceil(memory)) : "-1");
      this.memorySet = memory;
    }
    if (this.bases.memory) this.oomBefore = this.oomKills();
  }

  /** Files into which a process writes itself to join. */
  procsFiles(): string[] {
    return this.paths.map((path) => join(path, "cgroup.procs"));
  }

  populated(): boolean {
    if (this.bases.unified) return read(join(this.bases.unified, this.name, "cgroup.events")).includes("populated 1");
    return this.pids().length > 0;
  }

  pids(): number[] {
    const path = this.bases.unified ? join(this.bases.unified, this.name) : this.paths[0];
    if (path === undefined) return [];
    return [...members(path)];
  }

  kill(): void {
    if (this.bases.unified) tryWrite(join(this.bases.unified, this.name, "cgroup.kill"), "1");
  }

  /** Whether the kernel killed one of this worker's processes for lack of memory. */
  oomKilled(): boolean {
    return this.bases.memory !== undefined && this.oomKills() > this.oomBefore;
  }

  remove(): void {
    for (const path of this.paths) removeGroup(path);
  }

  private oomKills(): number {
    if (!this.bases.memory) return 0;
    const file = this.bases.memory.version === 2 ? "memory.events" : "memory.oom_control";
    return Number(/^oom_kill (\d+)/m.exec(read(join(this.bases.memory.path, this.name, file)))?.[1] ?? 0);
  }
}

export function removeBases(bases: CgroupBases): void {
  for (const base of new Set([bases.unified, bases.cpu?.path, bases.memory?.path])) if (base !== undefined) removeGroup(base);
}

function* members(path: string): Generator<number> {
  for (const line of read(join(path, "cgroup.procs")).split("\n")) if (line !== "") yield Number(line);
  let names: string[];
  try {
    names = readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return;
  }
  for (const name of names) yield* members(join(path, name));
}

function makeGroup(path: string): boolean {
  try {
    mkdirSync(path, { recursive: true });
    return true;
  } catch {
    return false;
  }
}

/** Removes a group and those below it; one that still has processes stays. */
function removeGroup(path: string): void {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeGroup(join(path, entry.name));
    rmdirSync(path);
  } catch {
    // still in use, or gone
  }
}

function tryWrite(path: string, text: string): boolean {
  try {
    writeFileSync(path, text);
    return true;
  } catch {
    return false;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
