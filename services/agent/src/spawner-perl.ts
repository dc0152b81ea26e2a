import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { signalName } from "./slots.ts";
import type { Spawned, Spawner, WorkerOrder } from "./spawner.ts";

/* Speaks with the perl process of `spawner.pl`. */

const PROGRAM = fileURLToPath(new URL("spawner.pl", import.meta.url));
/** What a shim's name in /proc may take: it replaces this argument. */
const ROOM = "x".repeat(1024);

/** A perl that can run the program. */
export function findPerl(path: readonly string[], exists: (path: string) => boolean): string | undefined {
  const perl = path.filter((folder) => folder.startsWith("/")).map((folder) => join(folder, "perl")).find(exists);
  return perl !== undefined && spawnSync(perl, ["-c", PROGRAM], { env: {}, cwd: "/", stdio: "ignore" }).status === 0 ? perl : undefined;
}

interface Helper {
  child: ChildProcess;
  workers: Map<number, Spawned>;
}

export class PerlSpawner implements Spawner {
  private readonly perl: string;
  private helper: Helper;
  private closing = false;

  constructor(perl: string) {
    this.perl = perl;
    this.helper = this.make();
  }

  start(order: WorkerOrder, worker: Spawned): void {
    const data = encodeOrder(order);
    this.helper.workers.set(order.id, worker);
    this.helper.child.stdin?.write(data);
  }

  /** Nothing of a slot is held between orders. */
  drop(): void {}

  close(): void {
    this.closing = true;
    this.helper.child.stdin?.end();
  }

  private make(): Helper {
    const child = spawn(this.perl, [PROGRAM, ROOM], { stdio: ["pipe", "pipe", "inherit"], env: {}, cwd: "/" });
    const helper: Helper = { child, workers: new Map() };
    let rest = "";
    child.stdout.setEncoding("latin1").on("data", (data: string) => {
      const lines = (rest + data).split("\n");
      rest = lines.pop() as string;
      for (const line of lines) heed(helper.workers, line);
    });
    child.stdin.on("error", () => {});
    child.on("error", () => {});
    child.on("exit", () => {
      if (this.closing) return;
      this.helper = this.make();
      const left = [...helper.workers.values()];
      helper.workers.clear();
      for (const worker of left) worker.orphaned();
    });
    return helper;
  }
}

function heed(workers: Map<number, Spawned>, line: string): void {
  const [kind, number, ...words] = line.split(" ");
  const id = Number(number);
  const worker = workers.get(id);
  if (!worker) return;
  if (kind === "started") return worker.started(Number(words[0]), words[1] as string);
  workers.delete(id);
  if (kind === "failed") worker.failed(words.join(" "));
  else if (kind === "gone") worker.exited(undefined);
  else {
    const signal = Number(words[1]);
    worker.exited(signal > 0 ? { code: null, signal: signalName(signal) } : { code: Number(words[0]), signal: null });
  }
}

/** Throws where a field holds what would end it. */
export function encodeOrder({ id, mark, files, argv, env, cwd, user, wrap }: WorkerOrder): Buffer {
  const [out, record, ...groups] = files as [string, string, ...string[]];
  const become = wrap ? undefined : user;
  const variables = Object.entries(env);
  const fields = [String(id), mark, String(become?.uid ?? ""), String(become?.gid ?? ""), cwd, out, record, String(groups.length), ...groups, String(variables.length), ...variables.map(([name, value]) => `${name}=${value}`), ...(wrap ?? []), ...argv];
  const text = `${fields.join("\0")}\0`;
  let ends = 0;
  for (let at = text.indexOf("\0"); at >= 0; at = text.indexOf("\0", at + 1)) ends++;
  if (ends !== fields.length) throw new Error("argv and env can't hold the NUL character; take it out");
  for (const [name] of variables) if (name === "" || name.includes("=")) throw new Error(`a variable can't be named ${JSON.stringify(name)}; use letters, digits and _`);
  const length = Buffer.byteLength(text);
  const data = Buffer.allocUnsafe(4 + length);
  data.writeUInt32BE(length);
  data.write(text, 4);
  return data;
}
