import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FakeServer, JOB_ID, sampleJob, sampleWorker, startStream } from "@muster/client/testing";
import { COMMAND, endStarted, start } from "./testing/run.ts";

let server: FakeServer;
let dir: string;
beforeEach(async () => {
  server = await new FakeServer().start();
  dir = mkdtempSync(join(tmpdir(), "muster-cli-"));
});
afterEach(async () => {
  endStarted();
  rmSync(dir, { recursive: true });
  await server.stop();
});

const page = (...items: unknown[]) => ({ items, next_cursor: null });

test("the command runs through a link from anywhere, and needs no server for its version", () => {
  const link = join(dir, "muster");
  symlinkSync(COMMAND, link);
  expect(execFileSync(link, ["version"], { cwd: dir, encoding: "utf8" })).toMatch(/^muster \d+\.\d+\.\d+\n$/);
});

test("without a server or a token it says where both come from", async () => {
  const { code, out, err } = await start(["job", "list"]).end;
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toContain("no server is known");
  expect(err).toContain("MUSTER_SERVER");
});

test("the embedded server's address and token are used without being asked for, and the token for no other server", async () => {
  server.on("GET /v1/jobs", page());
  writeFileSync(join(dir, "client.json"), JSON.stringify({ server: server.url, token: "embedded" }), { mode: 0o600 });
  const env = { MUSTER_STATE_DIR: dir };
  expect((await start(["job", "list"], { env }).end).code).toBe(0);
  expect(server.requests[0]?.headers.authorization).toBe("Bearer embedded");
  const other = await new FakeServer().start();
  try {
    other.on("GET /v1/jobs", page());
    await start(["job", "list", "--server", other.url], { env }).end;
    expect(other.requests[0]?.headers.authorization).toBeUndefined();
    writeFileSync(join(dir, "token"), "from-file\n");
    await start(["--token-file", join(dir, "token"), "job", "list", "--server", other.url], { env }).end;
    expect(other.requests[1]?.headers.authorization).toBe("Bearer from-file");
  } finally {
    await other.stop();
  }
});

test("a server that can't be reached ends with 6 and says what to do", async () => {
  const { url } = server;
  await server.stop();
  const { code, err } = await start(["job", "list"], { env: { MUSTER_SERVER: url } }).end;
  expect(code).toBe(6);
  expect(err).toContain(`can't reach ${url}: connection refused`);
  expect(err).toContain("npm start");
  server = await new FakeServer().start();
});

test("waiting for a job that failed ends with 100", async () => {
  server.on("POST /v1/jobs", sampleJob({ state: "queued" }));
  server.on("GET /v1/jobs/{id}", sampleJob({ state: "failed" }));
  const { code, out } = await start(["job", "submit", "-f", "-", "--wait"], { env: { MUSTER_SERVER: server.url }, stdin: "name: train\nrun: ['true']\n" }).end;
  expect({ code, out }).toEqual({ code: 100, out: `train ${JOB_ID} queued\n` });
});

test("Ctrl-C while following detaches, says how to come back, and cancels nothing", async () => {
  server.on("GET /v1/jobs/{id}", sampleJob());
  server.on("GET /v1/jobs/{id}/workers", page(sampleWorker()));
  server.on("GET /v1/jobs/{id}/logs", (_, response) => {
    startStream(response)({ data: { offset: 0, next: 6, text: "hello\n", end: false } });
    return undefined;
  });
  const command = start(["job", "logs", "-f", JOB_ID], { env: { MUSTER_SERVER: server.url } });
  await command.saw("hello\n");
  command.signal("SIGINT");
  const { code, out, err } = await command.end;
  expect({ code, out }).toEqual({ code: 130, out: "hello\n" });
  expect(err).toContain(`detached; train goes on\n  reattach: muster job logs -f ${JOB_ID}\n  cancel:   muster job cancel ${JOB_ID}\n`);
  expect(server.requests.every((request) => request.method === "GET")).toBe(true);
});

test("a reader that has seen enough is no error", () => {
  server.on("GET /v1/jobs", page());
  expect(execFileSync("bash", ["-o", "pipefail", "-c", `"${COMMAND}" completion bash | head -n 1`], { encoding: "utf8" })).toContain("# completion");
});

test("bash completes commands, options and files", () => {
  const script = `
    source <("${COMMAND}" completion bash)
    try() { COMP_WORDS=("$@"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _muster; echo "\${COMPREPLY[*]}"; }
    try muster jo
    try muster job su
    try muster job list --st
    try muster job cancel some-name --rea
    try muster job list -o js
    try muster get pools --wa`;
  expect(execFileSync("bash", ["-c", script], { encoding: "utf8" }).trimEnd().split("\n")).toEqual([
    "job",
    "submit suspend",
    "--state",
    "--reason",
    "json jsonl",
    "--watch",
  ]);
});
