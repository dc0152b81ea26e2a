import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LogWriter, readLog, removeLogs } from "./logs.ts";
import { script, testAgent } from "./test-agent.ts";
import { outputOf, Seen, someWorker, startOf, until } from "./test-watch.ts";

const KEY = { job: "job_x", incarnation: "1", attempt: 2, worker: "worker/0" };
const read = async (folder: string, offset: number, limit = 1 << 20): Promise<{ text: string; offset: number; next: number; end: boolean }> => {
  const { data, ...rest } = await readLog(folder, KEY, offset, limit, true);
  return { text: Buffer.from(data).toString("utf8"), ...rest };
};

describe("a worker's log", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp("/tmp/muster-logs-");
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("goes on in new files, keeps the newest, and its offsets never fall", async () => {
    const log = new LogWriter(folder, KEY, { part: 4096, cap: 12_288 }, true);
    for (let i = 0; i < 100; i++) log.write(Buffer.from(`${String(i).padStart(499, ".")}\n`));
    expect(log.end).toBe(50_000);
    log.close();
    const first = await read(folder, 0);
    expect(first.offset).toBeGreaterThan(30_000);
    let text = "";
    for (let at = first.offset; at < 50_000; ) {
      const chunk = await read(folder, at);
      expect(chunk.offset).toBe(at);
      text += chunk.text;
      at = chunk.next;
    }
    expect(text.endsWith("99\n")).toBe(true);
    expect(text.length).toBe(50_000 - first.offset);
    expect(text.length).toBeLessThanOrEqual(12_288);
  });

  test("is taken up where an earlier writer stopped", async () => {
    const limits = { part: 4096, cap: 1 << 20 };
    const one = new LogWriter(folder, KEY, limits, true);
    one.write(Buffer.alloc(5000, "a"));
    one.close();
    const two = new LogWriter(folder, KEY, limits, false);
    expect(two.end).toBe(5000);
    two.write(Buffer.from("b"));
    two.close();
    expect((await read(folder, 4999)).text).toBe("ab");
    expect(await read(folder, 5001)).toMatchObject({ text: "", next: 5001, end: true });
  });

  test("of a worker that has none is empty; removed, it is gone", async () => {
    expect(await read(folder, 0)).toMatchObject({ text: "", next: 0, end: true });
    const log = new LogWriter(folder, KEY, { part: 4096, cap: 1 << 20 }, true);
    log.write(Buffer.from("x"));
    log.close();
    removeLogs(folder, { ...KEY, attempt: 22 });
    expect((await read(folder, 0)).text).toBe("x");
    removeLogs(folder, KEY);
    expect((await read(folder, 0)).text).toBe("");
  });
});

test("a full disk drops lines and says so; the job goes on, and so does the log when there is room", async ({ skip }) => {
  const state = await mkdtemp("/tmp/muster-full-");
  const logs = join(state, "logs");
  mkdirSync(logs);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", logs]).status === 0;
  skip(!mounted, "a small file system can't be mounted here");
  const agent = await testAgent({ state_dir: state });
  try {
    const seen = await Seen.from(agent.engine);
    const key = someWorker();
    await agent.engine.start([
      startOf(
        key,
        script(`head -c 3000000 /dev/zero | tr '\\0' x; echo; echo done > done; while [ ! -e go ]; do sleep 0.05; done; echo the last line; exit 3`),
      ),
    ]);
    const folder = join(state, "area/run", `${key.job}.1-1.worker.0`);
    await until("the job's own way through", () => existsSync(join(folder, "done")));
    const other = someWorker();
    for (const name of readdirSync(logs, { recursive: true, encoding: "utf8" }))
      if (name.includes(key.job)) spawnSync("truncate", ["-s", "0", join(logs, name)]);
    spawnSync("touch", [join(folder, "go")]);
    expect(await seen.wait("exited", key)).toMatchObject({ exitCode: 3 });
    expect((await seen.wait("log_dropped", key)).bytes).toBeGreaterThan(1_000_000);
    await agent.engine.start([startOf(other, script("echo fine again"))]);
    await seen.wait("exited", other);
    expect(await outputOf(agent.engine, other)).toBe("fine again\n");
    seen.close();
  } finally {
    await agent.dispose();
    spawnSync("umount", [logs]);
    await rm(state, { recursive: true, force: true });
  }
});
