import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { run, start } from "./testing/run.ts";

const dir = mkdtempSync(join(tmpdir(), "muster-cli-"));
const file = join(dir, "1-1.jsonl");
const nowhere = { url: "http://127.0.0.1:1" };

const decided = (waiting: number): unknown => ({
  starts: [],
  evictions: [],
  shrinks: [],
  grows: [],
  moves: [],
  evaluated: 0,
  skipped: 0,
  waiting,
  wakeAt: null,
});

function recording(path: string, waiting: number): void {
  const cycle = [
    "cycle",
    5,
    createHash("sha256")
      .update(JSON.stringify(decided(waiting)))
      .digest("base64url"),
    decided(waiting),
  ];
  const job = {
    id: "job-1",
    queue: "q",
    priority: 0,
    preemptible: false,
    submittedAt: 1,
    held: "user",
    roles: [{ name: "worker", nodes: { min: 1, max: 1 }, resources: { accelerators: 1 } }],
  };
  const lines = [
    { recording: 1, placement: 1, epoch: "1", at: "2026-03-01T10:00:00.000Z", options: {} },
    ["putQueue", { id: "q" }],
    ["loaded"],
    cycle,
    ["submit", job],
  ];
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

beforeAll(() => recording(file, 0));
afterAll(() => rmSync(dir, { recursive: true }));

test("a recording is replayed without a server", async () => {
  const { code, out, err } = await start(["scheduler", "replay", file]).end;
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toContain("2 calls, 1 cycle\n");
  expect(out).toContain("identical");
  expect(out).toContain("without having been closed");
});

test("the first difference is shown, and is exit code 1", async () => {
  const other = join(dir, "other.jsonl");
  recording(other, 3);
  const { code, out } = await run(["scheduler", "replay", other], nowhere);
  expect(code).toBe(1);
  expect(out).toContain("Line 4, after 0 cycles: waiting\n  recorded: 3\n  replayed: 0\n");
  const json = await run(["scheduler", "replay", other, "-o", "json"], nowhere);
  expect(JSON.parse(json.out)).toMatchObject({ difference: { line: 4, what: "waiting", recorded: 3, replayed: 0 } });
});

test("a job is explained, and a cycle's decisions are shown", async () => {
  const explained = await run(["scheduler", "replay", file, "--explain", "job-1"], nowhere);
  expect(explained).toMatchObject({ code: 0, err: "" });
  expect(explained.out).toContain("reason: held");
  expect((await run(["scheduler", "replay", file, "--cycle", "1"], nowhere)).out).toContain("Decisions of cycle 1:\nstarts: []");
});

test("what can't be replayed is said, with where a recording is found", async () => {
  expect(await run(["scheduler", "replay", file, "--cycle", "9"], nowhere)).toMatchObject({
    code: 2,
    err: expect.stringContaining("there is no cycle 9: the recording has 1"),
  });
  expect(await run(["scheduler", "replay", file, "--cycle", "0"], nowhere)).toMatchObject({ code: 2, err: expect.stringContaining("counted from 1") });
  expect(await run(["scheduler", "replay", file, "--explain", "nobody"], nowhere)).toMatchObject({ code: 2, err: expect.stringContaining("nobody") });
  expect(await run(["scheduler", "replay", join(dir, "none")], nowhere)).toMatchObject({ code: 4, err: expect.stringContaining("MUSTER_RECORDINGS") });
  expect(await run(["scheduler", "replay", dir], nowhere)).toMatchObject({ code: 2, err: expect.stringContaining("can't be read") });
});
