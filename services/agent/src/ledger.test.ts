import { appendFileSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Journal } from "./journal.ts";
import { Ledger, type WorkerRecord } from "./ledger.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp("/tmp/muster-ledger-");
  path = join(folder, "journal");
});
afterEach(() => rm(folder, { recursive: true }));

describe("the journal", () => {
  const lines = async (): Promise<string[]> => {
    const found: string[] = [];
    await (await Journal.open(path, (line) => found.push(line))).close();
    return found;
  };

  test("gives back what was durable, in order, and only its owner can read it", async () => {
    const journal = await Journal.open(path, () => {});
    for (let i = 0; i < 1000; i++) journal.add(`line ${i}`);
    await journal.durable();
    expect(readFileSync(path, "utf8").split("\n").slice(0, 2)).toEqual(["line 0", "line 1"]);
    await journal.close();
    expect(await lines()).toHaveLength(1000);
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  test("a torn last line is cut off, and what follows is whole", async () => {
    const journal = await Journal.open(path, () => {});
    journal.add("whole");
    await journal.close();
    appendFileSync(path, "to");
    const next = await Journal.open(path, () => {});
    next.add("after");
    await next.close();
    expect(await lines()).toEqual(["whole", "after"]);
  });

  test("compaction keeps what is added around it", async () => {
    const journal = await Journal.open(path, () => {});
    for (let i = 0; i < 100; i++) journal.add(`old ${i}`);
    await journal.durable();
    journal.add("in the state");
    const compacted = journal.compact(() => ["the state"]);
    await compacted;
    journal.add("new");
    await journal.close();
    expect(await lines()).toEqual(["the state", "new"]);
  });
});

describe("the ledger", () => {
  const record = (job: string, attempt = 1): WorkerRecord => ({
    job,
    incarnation: "1",
    attempt,
    worker: "worker/0",
    id: 1,
    node: "n",
    project: "p",
    slot: "s0",
    uid: 1,
    gid: 1,
    checkpointDir: "/c",
    resumeLink: "/r",
    checkpoint: { reports: true, sealed: false },
    progress: { preset: "muster" },
    watch: [],
    firstRank: 0,
    ranks: 1,
    mounts: false,
  });
  const key = (job: string, attempt = 1): { job: string; incarnation: string; attempt: number; worker: string } => ({
    job,
    incarnation: "1",
    attempt,
    worker: "worker/0",
  });
  const exited = (job: string): Parameters<Ledger["observe"]>[0] => ({ kind: "exited", exitCode: 0, signal: null, oom: false, ...key(job) });

  test("is the same after it is opened again", async () => {
    const ledger = await Ledger.open(path);
    ledger.start(record("a"));
    ledger.observe({ kind: "started", pid: 42, ...key("a") }, { startTime: "777" });
    ledger.observe({ kind: "progress", step: 1, ...key("a") });
    ledger.observe({ kind: "progress", step: 2, ...key("a") });
    ledger.observe({ kind: "matched", id: "m", line: "l", ...key("a") }, { parsed: 99 });
    ledger.start(record("b"));
    ledger.observe(exited("b"));
    await ledger.close();
    const again = await Ledger.open(path);
    expect({ epoch: again.epoch, seq: again.seq, id: again.lastId }).toEqual({ epoch: ledger.epoch, seq: 5, id: 1 });
    expect([...again.workers.values()]).toEqual([...ledger.workers.values()]);
    expect(again.workers.get("a.1-1.worker.0")).toMatchObject({ state: "running", pid: 42, startTime: "777", parsed: 99 });
    expect(again.after(0, 100)).toEqual(ledger.after(0, 100));
    expect(again.after(0, 100).lines.map((line) => (JSON.parse(line) as { seq: number }).seq)).toEqual([1, 3, 4, 5]);
    await again.close();
  });

  test("publishes an observation only when it is on disk", async () => {
    const ledger = await Ledger.open(path);
    ledger.start(record("a"));
    ledger.observe(exited("a"));
    expect(ledger.after(0, 10).lines).toEqual([]);
    await ledger.durable();
    expect(ledger.after(0, 10).lines).toHaveLength(1);
    expect(readFileSync(path, "utf8")).toContain('"exited"');
    await ledger.close();
  });

  test("forgets what the store has, but not that it was there", async () => {
    const ledger = await Ledger.open(path);
    ledger.start(record("a", 3));
    expect(ledger.forget([key("a", 3)])).toEqual([]);
    ledger.observe({ kind: "lost", reason: "gone", ...key("a", 3) });
    expect(ledger.forget([key("a", 3)])).toHaveLength(1);
    expect(ledger.workers.size).toBe(0);
    expect(ledger.fence("a")).toEqual({ incarnation: "1", attempt: 3, closed: true });
    await ledger.close();
    const again = await Ledger.open(path);
    expect(again.fence("a")).toEqual({ incarnation: "1", attempt: 3, closed: true });
    await again.close();
  });

  test("stays small over many short jobs, and loses nothing that counts", async () => {
    const ledger = await Ledger.open(path);
    ledger.start(record("alive"));
    ledger.observe({ kind: "started", pid: 1, ...key("alive") });
    const bulk = "x".repeat(1000);
    for (let i = 0; i < 40_000; i++) {
      ledger.start(record(`j${i}`));
      ledger.observe({ kind: "lost", reason: bulk, ...key(`j${i}`) });
      if (i % 1000 === 0) await ledger.durable();
      ledger.forget([key(`j${i}`)]);
    }
    await ledger.durable();
    ledger.forget([]);
    await ledger.close();
    expect(statSync(path).size).toBeLessThan(40 << 20);
    const again = await Ledger.open(path);
    expect([...again.workers.keys()]).toEqual(["alive.1-1.worker.0"]);
    expect(again.fence("j39999")?.closed).toBe(true);
    expect(again.seq).toBe(ledger.seq);
    await again.close();
  });
});
