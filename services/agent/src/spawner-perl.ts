import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { signalName } from "@muster/output";
import type { Spawned, Spawner, WorkerOrder } from "./spawner.ts";
import type { Leftover } from "./steps.ts";

/* Speaks with the perl process of `spawner.pl`. */

const PROGRAM = fileURLToPath(new URL("spawner.pl", import.meta.url));
/** What a shim's name in /proc may take: it replaces this argument. */
const ROOM = "x".repeat(1024);

/** A perl that can run the program. */
export function findPerl(path: readonly string[], exists: (path: string) => boolean): string | undefined {
  const perl = path
    .filter((folder) => folder.startsWith("/"))
    .map((folder) => join(folder, "perl"))
    .find(exists);
  return perl !== undefined && spawnSync(perl, ["-c", PROGRAM], { env: {}, cwd: "/", stdio: "ignore" }).status === 0 ? perl : undefined;
}

interface Helper {
  child: ChildProcess;
  workers: Map<number, Spawned>;
  removals: Map<number, () => void>;
}

export class PerlSpawner implements Spawner {
  private readonly perl: string;
  private helper: Helper;
  private nextRemoval = 0;
  private corked = false;
  private closing = false;

  constructor(perl: string) {
    this.perl = perl;
    this.helper = this.make();
  }

  start(order: WorkerOrder, worker: Spawned): void {
    const data = encodeStart(order);
    this.helper.workers.set(order.id, worker);
    this.send(data);
  }

  remove(leftovers: Leftover[]): Promise<void> {
    const id = this.nextRemoval++;
    return new Promise((resolve) => {
      this.helper.removals.set(id, resolve);
      this.send(encodeRemoval(id, leftovers));
    });
  }

  /** Nothing of a slot is held between orders. */
  drop(): void {}

  close(): void {
    this.closing = true;
    this.helper.child.stdin?.end();
  }

  /** What is sent in one turn goes in one write. */
  private send(data: Buffer): void {
    const { stdin } = this.helper.child;
    if (!this.corked) {
      this.corked = true;
      stdin?.cork();
      setImmediate(() => {
        this.corked = false;
        stdin?.uncork();
      });
    }
    stdin?.write(data);
  }

  private make(): Helper {
    const child = spawn(this.perl, [PROGRAM, ROOM], { stdio: ["pipe", "pipe", "inherit"], env: {}, cwd: "/" });
    const helper: Helper = { child, workers: new Map(), removals: new Map() };
    let rest = "";
    child.stdout.setEncoding("latin1").on("data", (data: string) => {
      const lines = (rest + data).split("\n");
      rest = lines.pop() as string;
      for (const line of lines) heed(helper, line);
    });
    child.stdin.on("error", () => {});
    child.on("error", () => {});
    child.on("exit", () => {
      if (this.closing) return;
      this.helper = this.make();
      const left = [...helper.workers.values()];
      helper.workers.clear();
      for (const worker of left) worker.orphaned();
      for (const done of helper.removals.values()) done();
    });
    return helper;
  }
}

function heed({ workers, removals }: Helper, line: string): void {
  const [kind, number, ...words] = line.split(" ");
  const id = Number(number);
  if (kind === "removed") {
    removals.get(id)?.();
    removals.delete(id);
    return;
  }
  const worker = workers.get(id);
  if (!worker) return;
  if (kind === "started") return worker.started(Number(words[0]), words[1] as string);
  workers.delete(id);
  if (kind === "failed") worker.failed(Buffer.from(words.join(" "), "latin1").toString("utf8"));
  else if (kind === "gone") worker.exited(undefined);
  else {
    const signal = Number(words[1]);
    worker.exited(signal > 0 ? { code: null, signal: signalName(signal) } : { code: Number(words[0]), signal: null });
  }
}

/** Throws where a field holds what would end it. */
export function encodeStart({ id, mark, files, prepare, argv, env, cwd, user, wrap }: WorkerOrder): Buffer {
  const [out, record, ...groups] = files as [string, string, ...string[]];
  const become = wrap ? undefined : user;
  const variables = Object.entries(env);
  for (const [name] of variables)
    if (name === "" || name.includes("=")) throw new Error(`a variable can't be named ${JSON.stringify(name)}; use letters, digits and _`);
  const fields = [
    "start",
    String(id),
    mark,
    String(become?.uid ?? ""),
    String(become?.gid ?? ""),
    cwd,
    out,
    record,
    String(groups.length),
    ...groups,
    String(prepare.length),
  ];
  let contents = "";
  for (const { make, path, mode, owner, content } of prepare) {
    fields.push(make, path, String(mode), String(owner.uid), String(owner.gid), String(Buffer.byteLength(content)));
    contents += content;
  }
  fields.push(String(variables.length));
  for (const [name, value] of variables) fields.push(`${name}=${value}`);
  fields.push(String(wrap?.length ?? 0), ...(wrap ?? []), ...argv);
  return encode(fields, contents);
}

export function encodeRemoval(id: number, leftovers: readonly Leftover[]): Buffer {
  const fields = ["remove", String(id)];
  for (const { folders, checkpoint } of leftovers) fields.push(checkpoint?.folder ?? "", checkpoint?.link ?? "", String(folders.length), ...folders);
  return encode(fields, "");
}

function encode(fields: string[], contents: string): Buffer {
  const text = `${fields.join("\0")}\0`;
  let ends = 0;
  for (let at = text.indexOf("\0"); at >= 0; at = text.indexOf("\0", at + 1)) ends++;
  if (ends !== fields.length) throw new Error("argv and env can't hold the NUL character; take it out");
  const length = Buffer.byteLength(text);
  const data = Buffer.allocUnsafe(8 + length + Buffer.byteLength(contents));
  data.writeUInt32BE(data.length - 4);
  data.writeUInt32BE(length, 4);
  data.write(text, 8);
  data.write(contents, 8 + length);
  return data;
}
