import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { commandOf, descendants, signalAll } from "../support/processes.ts";
import { readDockerfile, ROOT } from "./dockerfile.ts";
import { servicesAnswer } from "./services-answer.ts";

const TAG = "muster:built";

/**
 * Builds the image with a container engine, buildah, and starts services from it, each in a container. No registry of images is asked: the
 * base image is made here, of Debian's packages (debootstrap), the Node.js that the project brings, and this machine's npm.
 */
export async function buildContainer(): Promise<{ steps: number; mib: number }> {
  for (const [command, what] of [
    ["buildah", "builds the image"],
    ["debootstrap", "makes its base"],
  ])
    if (!onPath(command as string)) throw new Error(`${command} is missing, which ${what}: apt-get install buildah debootstrap`);
  const dir = mkdtempSync(join(tmpdir(), "muster-container-"));
  const buildah = (...words: string[]): string[] => [
    "buildah",
    "--storage-driver",
    "vfs",
    "--root",
    join(dir, "storage"),
    "--runroot",
    join(dir, "run"),
    ...words,
  ];
  const run = (...words: string[]): string => {
    const [command, ...rest] = buildah(...words);
    return execFileSync(command as string, rest, { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"] }).trim();
  };
  try {
    const stages = readDockerfile();
    makeBase(join(dir, "base"));
    const base = run("from", "scratch");
    run("add", "--quiet", base, join(dir, "base"), "/");
    run("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", base);
    run("commit", "--quiet", "--rm", base, `docker.io/library/${stages[0]?.from}`);
    const volumes = npmSettings(dir).flatMap(([from, to]) => ["--volume", `${from}:${to}:ro`]);
    const file = ["--file", "deploy/image/Dockerfile", "--ignorefile", "deploy/image/Dockerfile.dockerignore"];
    run("build", "--isolation", "chroot", "--pull-never", "--quiet", ...volumes, ...file, "--tag", TAG, ".");
    const start = (main: string, env: Record<string, string>): ChildProcess => {
      const container = run("from", "--pull-never", TAG);
      const variables = Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
      const [command, ...rest] = buildah("run", "--isolation", "chroot", ...variables, container, "--", "node", main);
      return spawn(command as string, rest, { stdio: ["ignore", "ignore", "inherit"] });
    };
    // a signal to buildah itself would end its container at once
    const stop = ({ pid }: ChildProcess): void =>
      signalAll(
        descendants(pid as number).filter((one) => /(^|\/)node$/.test(commandOf(one)[0] ?? "")),
        "SIGTERM",
      );
    await servicesAnswer(start, stop);
    const size = JSON.parse(run("images", "--json", TAG)) as { size: string }[];
    return { steps: stages.reduce((sum, { instructions }) => sum + instructions.length, 0), mib: Math.round(megabytes(size[0]?.size ?? "")) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** How this machine's npm reaches its registry, mounted while the image is built and no part of it. */
function npmSettings(dir: string): [string, string][] {
  const get = (name: string): string => execFileSync("npm", ["config", "get", name], { encoding: "utf8" }).trim();
  const [registry, cafile] = [get("registry"), get("cafile")];
  const certificates = existsSync(cafile);
  writeFileSync(join(dir, "npmrc"), `registry=${registry}\n${certificates ? "cafile=/npm-ca.crt\n" : ""}`);
  return [[join(dir, "npmrc"), "/usr/local/etc/npmrc"], ...(certificates ? [[cafile, "/npm-ca.crt"] as [string, string]] : [])];
}

function makeBase(root: string): void {
  execFileSync("debootstrap", ["--variant=minbase", "bookworm", root], { stdio: ["ignore", "ignore", "inherit"] });
  cpSync(process.execPath, join(root, "usr/local/bin/node"));
  mkdirSync(join(root, "usr/local/lib/node_modules"), { recursive: true });
  cpSync(join(prefixOfNpm(), "lib/node_modules/npm"), join(root, "usr/local/lib/node_modules/npm"), { recursive: true, verbatimSymlinks: true });
  symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", join(root, "usr/local/bin/npm"));
}

/** `npm root -g` without its last two folders. */
function prefixOfNpm(): string {
  return dirname(dirname(execFileSync("npm", ["root", "-g"], { encoding: "utf8" }).trim()));
}

function onPath(command: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, command)));
}

/** `612 MB` */
function megabytes(text: string): number {
  const [, amount, unit] = /^([\d.]+) ?(\w+)$/.exec(text) ?? [];
  return Number(amount) * (unit === "GB" ? 1000 : 1);
}
