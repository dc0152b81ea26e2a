import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { createEngine, recorded } from "@muster/placement";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../testing/cluster.ts";
import { prune } from "./folder.ts";
import { Recorder } from "./recorder.ts";

let dir: string;
const said: string[] = [];
const logger = pino({}, { write: (line: string) => void said.push((JSON.parse(line) as { msg: string }).msg) });

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-recorder-"));
  said.length = 0;
});
afterEach(() => rmSync(dir, { recursive: true }));

test("calls are written in their order, what threw behind what was called, and questions only after something changed", async () => {
  const recorder = new Recorder({ folder: dir }, "7", logger);
  const engine = recorded(createEngine(), recorder);
  engine.putQueue({ id: "q" });
  recorder.loaded();
  engine.cycle(5);
  expect(() => engine.removeJob("nobody")).toThrow("nobody");
  engine.capacity();
  engine.capacity();
  await recorder.close();
  expect(readdirSync(dir)).toEqual(["7-1.jsonl.gz"]);
  const lines = gunzipSync(readFileSync(join(dir, "7-1.jsonl.gz")))
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown[]);
  expect(lines[0]).toMatchObject({ recording: 1, epoch: "7" });
  expect(lines.slice(1).map((line) => line[0])).toEqual(["putQueue", "loaded", "cycle", "removeJob", "threw", "settle", "end"]);
  expect(statSync(join(dir, "7-1.jsonl.gz")).mode & 0o777).toBe(0o600);
  await new Recorder({ folder: dir }, "7", logger).close();
  expect(readdirSync(dir)).toEqual(["7-1.jsonl.gz", "7-2.jsonl.gz"]);
});

test("a folder that can't be made costs the recording alone", async () => {
  writeFileSync(join(dir, "file"), "");
  const recorder = new Recorder({ folder: join(dir, "file", "below") }, "1", logger);
  const engine = recorded(createEngine(), recorder);
  engine.putQueue({ id: "q" });
  expect(engine.cycle(1).starts).toEqual([]);
  await recorder.close();
  expect(said).toEqual(["scheduling is not recorded any more until the next term"]);
});

test("the oldest are removed first, and never what is being written or is of others", async () => {
  for (const [at, name] of ["1-1.jsonl.gz", "1-2.jsonl", "2-1.jsonl.gz.part", "3-1.jsonl", "notes.txt"].entries()) {
    writeFileSync(join(dir, name), "x".repeat(100));
    utimesSync(join(dir, name), at + 1, at + 1);
  }
  await prune(dir, 200, join(dir, "3-1.jsonl"));
  expect(readdirSync(dir)).toEqual(["1-2.jsonl", "2-1.jsonl.gz.part", "3-1.jsonl", "notes.txt"]);
  await prune(dir, 0, join(dir, "3-1.jsonl"));
  expect(readdirSync(dir)).toEqual(["3-1.jsonl", "notes.txt"]);
});

const disk = "/tmp/muster-full-disk-" + process.pid;
function mountSmallDisk(): boolean {
  mkdirSync(disk, { recursive: true });
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], { stdio: "ignore" });
    return true;
  } catch {
    rmSync(disk, { recursive: true });
    return false;
  }
}

test("on a full disk it ends with whole lines and says why, in the file and in the log; what it records goes on", async ({ skip }) => {
  skip(!mountSmallDisk(), "needs the right to mount a small disk");
  try {
    const recorder = new Recorder({ folder: disk }, "1", logger);
    const engine = recorded(createEngine(), recorder);
    const put = (i: number): void => engine.putQueue({ id: `queue-${i}-${"x".repeat(1000)}` });
    for (let i = 0; i < 50; i++) put(i);
    await until("the first lines", async () => existsSync(join(disk, "1-1.jsonl")) && statSync(join(disk, "1-1.jsonl")).size > 50_000);
    for (let i = 50; i < 500; i++) put(i);
    await until("told", async () => said.length > 0);
    put(500);
    expect(engine.cycle(1).starts).toEqual([]);
    await recorder.close();
    expect(said).toEqual(["scheduling is not recorded any more until the next term"]);
    const lines = readFileSync(join(disk, "1-1.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown[]);
    expect(lines.length).toBeGreaterThan(50);
    expect(lines.at(-1)).toEqual(["end", expect.stringContaining("ENOSPC")]);
  } finally {
    execFileSync("umount", [disk]);
    rmSync(disk, { recursive: true });
  }
});
