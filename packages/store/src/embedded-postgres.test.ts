import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { expect, it } from "vitest";
import { startEmbeddedPostgres } from "./embedded-postgres.ts";

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

/** The server and all its processes. */
function family(pid: number): number[] {
  const children = execFileSync("ps", ["-o", "pid=", "--ppid", String(pid)])
    .toString()
    .trim()
    .split(/\s+/)
    .map(Number);
  return [pid, ...children];
}

it("keeps what was committed over SIGKILL of all of it, and is joined by a second start", { timeout: 120_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), "muster-postgres-test-"));
  try {
    const first = await startEmbeddedPostgres({ dir });
    const joined = await startEmbeddedPostgres({ dir });
    expect(joined).toMatchObject({ pid: first.pid, url: first.url });
    await query(first.url, "CREATE TABLE t AS SELECT 7 AS n");
    for (const pid of family(first.pid)) process.kill(pid, "SIGKILL");
    const second = await startEmbeddedPostgres({ dir });
    expect(second.pid).not.toBe(first.pid);
    expect(await query(second.url, "SELECT n FROM t")).toEqual([{ n: 7 }]);
    // the server alone: the next start waits until what it left behind has gone
    process.kill(second.pid, "SIGKILL");
    const third = await startEmbeddedPostgres({ dir });
    expect(await query(third.url, "SELECT n FROM t")).toEqual([{ n: 7 }]);
    const url = new URL(third.url);
    url.password = "wrong";
    await expect(query(url.href, "SELECT 1")).rejects.toThrow(/password/);
    await third.stop();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
