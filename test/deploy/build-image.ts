import { randomBytes } from "node:crypto";
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { onServer } from "@muster/store/testing";
import { readDockerfile, ROOT, type Stage } from "./dockerfile.ts";

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
    await answers(image, stages.at(-1) as Stage);
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

/** Starts the API and the scheduler of the image on an empty database; both must say that they are ready, and the dashboard be there. */
async function answers(image: string, stage: Stage): Promise<void> {
  const name = `image_${process.pid}_${randomBytes(4).toString("hex")}`;
  const server = process.env["MUSTER_TEST_DATABASE_URL"] ?? "";
  const [uid, gid] = (stage.instructions.find((instruction) => instruction.name === "USER")?.text ?? "").split(":").map(Number);
  await onServer(server, `CREATE DATABASE ${name}`);
  const [apiPort, schedulerPort] = [await freePort(), await freePort()];
  const env = {
    PATH: process.env["PATH"] ?? "",
    DATABASE_URL: Object.assign(new URL(server), { pathname: `/${name}` }).href,
    MUSTER_LOG_STORE: "/tmp",
    MUSTER_PORT: String(apiPort),
    MUSTER_SCHEDULER_PORT: String(schedulerPort),
    NODE_ENV: "production",
  };
  const user = process.getuid?.() === 0 ? { uid: uid ?? 0, gid: gid ?? 0 } : {};
  const children = ["api", "scheduler"].map((service) =>
    spawn(process.execPath, [`services/${service}/src/main.ts`], { cwd: image, env, ...user, stdio: ["ignore", "ignore", "inherit"] }),
  );
  const ended = Promise.all(children.map((child) => new Promise<number | null>((resolve) => child.once("exit", resolve))));
  try {
    await until(`http://127.0.0.1:${apiPort}/readyz`, children);
    await until(`http://127.0.0.1:${schedulerPort}/readyz`, children);
    const page = await (await fetch(`http://127.0.0.1:${apiPort}/`)).text();
    if (!page.includes("<script")) throw new Error(`no dashboard: ${page.slice(0, 200)}`);
    for (const child of children) child.kill("SIGTERM");
    const codes = await ended;
    if (codes.some((code) => code !== 0)) throw new Error(`ended with ${codes.join(", ")}`);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await ended;
    await onServer(server, `DROP DATABASE ${name} WITH (FORCE)`);
  }
}

async function until(url: string, children: { exitCode: number | null }[]): Promise<void> {
  for (const end = Date.now() + 60_000; ; await delay(100)) {
    if (
      await fetch(url).then(
        (answer) => answer.ok,
        () => false,
      )
    )
      return;
    if (Date.now() > end || children.some((child) => child.exitCode !== null)) throw new Error(`${url} does not answer`);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
