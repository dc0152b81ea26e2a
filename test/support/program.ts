import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The first version that runs on a schema newer than its own, and the migrations that it knows. */
export const RELEASE = { commit: "58c980b3bd08d4bd894b227e210f97adcc105bd0", migrations: 4 };

/** Whether this clone has the history to take that version from. */
export function hasRelease(): boolean {
  try {
    execFileSync("git", ["-C", ROOT, "cat-file", "-e", `${RELEASE.commit}^{commit}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** The released version itself, in a folder of its own, over the libraries of this one. */
export function releasedProgram(dir: string): string {
  mkdirSync(dir);
  const archive = execFileSync("git", ["-C", ROOT, "archive", RELEASE.commit, "packages", "services", "package.json"], { maxBuffer: 1 << 30 });
  execFileSync("tar", ["-x", "-C", dir], { input: archive });
  return linkLibraries(dir);
}

/** This program with only the first migrations: what it is to the database is a version before. */
export function programBefore(dir: string, migrations: number): string {
  mkdirSync(dir);
  for (const part of ["packages", "services", "package.json"]) execFileSync("cp", ["-a", join(ROOT, part), dir]);
  const folder = join(dir, "packages/store/migrations");
  for (const file of readdirSync(folder).sort().slice(migrations)) rmSync(join(folder, file));
  return linkLibraries(dir);
}

function linkLibraries(dir: string): string {
  const [from, to] = [join(ROOT, "node_modules"), join(dir, "node_modules")];
  mkdirSync(join(to, "@muster"), { recursive: true });
  for (const name of readdirSync(from)) if (name !== "@muster") symlinkSync(join(from, name), join(to, name));
  // the workspaces are its own
  for (const name of readdirSync(join(from, "@muster"))) {
    const link = readlinkSync(join(from, "@muster", name));
    if (existsSync(join(to, "@muster", link))) symlinkSync(link, join(to, "@muster", name));
  }
  return dir;
}
