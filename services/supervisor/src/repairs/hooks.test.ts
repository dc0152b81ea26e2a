import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHmac } from "node:crypto";
import { repairHook } from "@muster/model";
import { afterAll, describe, expect, it } from "vitest";
import { hookFor, readRepairHooks } from "./hooks.ts";
import { runHook } from "./run-hook.ts";

const dir = mkdtempSync(join(tmpdir(), "muster-hooks-"));
afterAll(() => rmSync(dir, { recursive: true }));
const order = { node: "n1; touch /tmp/oops", pool: "h800", reason: "Xid 79", hook: "fix", try: 1 };
const never = new AbortController().signal;

describe("the file of repair hooks", () => {
  const file = (content: unknown, mode = 0o600): string => {
    const path = join(dir, "hooks.json");
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    chmodSync(path, mode);
    return path;
  };
  it("is read with its defaults, and the first hook that fits a pool is its hook", () => {
    const hooks = readRepairHooks(
      file({
        hooks: [
          { name: "reset", pools: ["h800"], command: ["/bin/reset"] },
          { name: "ticket", webhook: { url: "https://desk.example/new" } },
        ],
      }),
    );
    expect(hooks[0]).toEqual({ name: "reset", pools: ["h800"], command: ["/bin/reset"], tries: 5, backoff: 10 });
    expect([hookFor(hooks, "h800")?.name, hookFor(hooks, "ascend")?.name]).toEqual(["reset", "ticket"]);
  });

  it.each([
    ["no JSON", "{", 0o600, /is no JSON/],
    [
      "a hook that does two things",
      { hooks: [{ name: "a", command: ["x"], webhook: { url: "https://a.b/" } }] },
      0o600,
      /hooks\.0: expected one of command and webhook/,
    ],
    ["a shell's line", { hooks: [{ name: "a", command: "rm -rf $NODE" }] }, 0o600, /hooks\.0\.command: .*array/],
    ["an address of another kind", { hooks: [{ name: "a", webhook: { url: "file:///etc/passwd" } }] }, 0o600, /hooks\.0\.webhook\.url/],
    [
      "one name twice",
      {
        hooks: [
          { name: "a", command: ["x"] },
          { name: "a", command: ["y"] },
        ],
      },
      0o600,
      /each name once/,
    ],
    ["a file that others may write", { hooks: [] }, 0o622, /writable by nobody else/],
  ] as const)("refuses %s", (_, content, mode, problem) => {
    expect(() => readRepairHooks(file(content, mode))).toThrow(problem);
  });
});

describe("a command", () => {
  const command = (script: string, more: object = {}) => repairHook.parse({ name: "fix", command: ["sh", "-c", script], ...more });
  it("is told of the node by its environment and on standard input, and knows nothing else", async () => {
    process.env["DATABASE_URL"] ??= "postgres://secret";
    const { state, said } = await runHook(command('echo "$MUSTER_NODE|$MUSTER_POOL|$MUSTER_REASON|${DATABASE_URL:-none}"; cat'), order, never);
    expect(state).toBe("passed");
    expect(said).toBe(`n1; touch /tmp/oops|h800|Xid 79|none\n${JSON.stringify(order)}`);
  });

  it("that fails, or takes too long, is to be tried again, and says what it said last", async () => {
    await expect(runHook(command("echo no such card >&2; exit 3"), order, never)).rejects.toThrow("fix ended with code 3: no such card");
    await expect(runHook(command("exec sleep 60", { timeout: 1 }), order, never)).rejects.toThrow("fix ended with SIGKILL");
    await expect(runHook(repairHook.parse({ name: "fix", command: ["/nonexistent"] }), order, never)).rejects.toThrow("ENOENT");
  });
});

describe("a webhook", () => {
  it("is signed, and its answer is the outcome or that it comes later", async () => {
    const seen: { body: string; signature: string; timestamp: string }[] = [];
    const answers = [
      { status: 200, body: '{"status": "ok", "message": "reset"}' },
      { status: 202, body: "ticket 7" },
      { status: 200, body: '{"status": "fatal"}' },
      { status: 503, body: "later" },
    ];
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (data: Buffer) => (body += data.toString()));
      request.on("end", () => {
        seen.push({ body, signature: String(request.headers["muster-signature"]), timestamp: String(request.headers["muster-timestamp"]) });
        const answer = answers[seen.length - 1];
        response.writeHead(answer?.status ?? 500).end(answer?.body);
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const { port } = server.address() as AddressInfo;
    const secretFile = join(dir, "secret");
    writeFileSync(secretFile, "hush\n");
    const hook = repairHook.parse({ name: "fix", webhook: { url: `http://127.0.0.1:${port}/?key=hidden`, secret_file: secretFile } });
    expect(await runHook(hook, order, never)).toEqual({ state: "passed", said: "reset" });
    expect(await runHook(hook, order, never)).toEqual({ state: "waiting", said: "ticket 7" });
    expect(await runHook(hook, order, never)).toEqual({ state: "failed", said: "fatal" });
    await expect(runHook(hook, order, never)).rejects.toThrow("the webhook answered 503: later");
    const [first] = seen;
    expect(JSON.parse(first?.body ?? "")).toEqual(order);
    expect(first?.signature).toBe(`sha256=${createHmac("sha256", "hush").update(`${first?.timestamp}.${first?.body}`).digest("hex")}`);
    await new Promise((resolve) => {
      server.close(resolve);
    });
    const { message } = await runHook(hook, order, never).then(
      () => new Error("it came through"),
      (one: unknown) => one as Error,
    );
    expect(message).toMatch(/can't be reached/);
    expect(message).not.toMatch(/hidden|hush/);
  });
});
