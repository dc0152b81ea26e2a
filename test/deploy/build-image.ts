import { execFileSync, spawn } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { readDockerfile, ROOT, type Stage } from "./dockerfile.ts";
import { servicesAnswer } from "./services-answer.ts";

export interface ImageFigures {
  steps: number;
  /** Steps that only a container engine can run: packages of the base image. */
  skipped: number;
  mib: number;
}

/**
 * Follows the steps of the Dockerfile in folders, with this Node.js in place of the base image, and starts the services from what
 * comes out, as the image's user. It is no container: what the base image brings is this machine's.
 */
export async function buildImage(): Promise<ImageFigures> {
  const dir = mkdtempSync(join(tmpdir(), "muster-image-"));
  chmodSync(dir, 0o755);
  try {
    const stages = readDockerfile();
    const figures = { steps: 0, skipped: 0, mib: 0 };
    stages.forEach((stage, index) => follow(stage, join(dir, stage.name || String(index)), dir, figures));
    const image = join(dir, String(stages.length - 1), "muster");
    figures.mib = Number(execFileSync("du", ["-sm", image], { encoding: "utf8" }).split("\t")[0]);
    const [uid, gid] = (stages.at(-1)?.instructions.find(({ name }) => name === "USER")?.text ?? "").split(":").map(Number);
    const user = process.getuid?.() === 0 ? { uid: uid ?? 0, gid: gid ?? 0 } : {};
    await servicesAnswer((main, env) =>
      spawn(process.execPath, [main], { cwd: image, env: { PATH: process.env["PATH"] ?? "", ...env }, ...user, stdio: ["ignore", "ignore", "inherit"] }),
    );
    return figures;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Each stage is a folder that stands for `/`. */
function follow({ instructions }: Stage, root: string, dir: string, figures: ImageFigures): void {
  let workdir = root;
  for (const { name, text } of instructions) {
    if (name === "WORKDIR") mkdirSync((workdir = join(root, text)), { recursive: true });
    else if (name === "COPY") copy(text.split(" "), workdir, dir);
    else if (name === "RUN" && text.startsWith("apt-get")) {
      figures.skipped++;
      continue;
    } else if (name === "RUN") {
      // the settings by which npm reaches its registry are this machine's
      const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };
      execFileSync("sh", ["-c", text], { cwd: workdir, env, stdio: ["ignore", "ignore", "inherit"] });
    }
    figures.steps++;
  }
}

function copy(words: string[], workdir: string, dir: string): void {
  const stage = words[0]?.startsWith("--from=") ? words.shift()?.slice("--from=".length) : undefined;
  const to = words.pop() ?? "";
  for (const source of words) {
    const from = stage === undefined ? join(ROOT, source) : join(dir, stage, source);
    const target = to.endsWith("/") ? join(workdir, to, basename(source)) : join(workdir, to);
    // what .dockerignore names is no part of the context
    const filter = (path: string): boolean => stage !== undefined || !/\/(node_modules|dist)$|\.test\.ts$/.test(path);
    cpSync(from, target, { recursive: true, filter, verbatimSymlinks: true });
  }
}
