import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stopAgent } from "@muster/agent";
import { MusterClient } from "@muster/client";
import { createPool, type Pool } from "@muster/store";
import type { CpuAccount } from "./cpu-account.ts";

const TINY = { run: ["true"], resources: { cpus: 1, memory: "16Mi" } };

/** Muster as users have it: the standalone server in a process of its own, asked through its API. */
export interface MusterUnderTest {
  /** One array; seconds from submission to the last end. */
  array(count: number): Promise<number>;
  /** Jobs one by one from several clients; seconds of submitting, and to the last end. */
  single(count: number, clients: number): Promise<{ submit: number; all: number }>;
  /** Milliseconds from submission to the first worker's start, of jobs that come at a steady rate. */
  starts(count: number, perSecond: number): Promise<number[]>;
  close(): Promise<void>;
}

export async function startMuster(dir: string, nodes: number, account: CpuAccount): Promise<MusterUnderTest> {
  const state = join(dir, "muster");
  mkdirSync(state, { recursive: true });
  chmodSync(dir, 0o755);
  const cluster = join(dir, "cluster.yaml");
  const documents = [
    "version: 1\nkind: pool\nname: bench\nvendor: none\naccelerator: cpu",
    ...Array.from(
      { length: nodes },
      (_, i) => `version: 1\nkind: node\nname: n${i}\npool: bench\nfabric: [zone, spine, leaf, n${i}]\ndevices: 0\ncpus: 8\nmemory: 64Gi`,
    ),
  ];
  writeFileSync(cluster, documents.join("\n---\n"));
  const main = join(import.meta.dirname, "../../services/standalone/src/main.ts");
  const [file, ...words] = account.wrap([
    process.execPath,
    ...process.execArgv,
    main,
    "--state-dir",
    state,
    "--port",
    "0",
    "--cluster",
    cluster,
    "--log-level",
    "error",
  ]);
  const server = spawn(file as string, words, { stdio: ["ignore", "ignore", "pipe"] });
  await new Promise<void>((resolve, reject) => {
    let said = "";
    server.stderr.on("data", (text: Buffer) => {
      said += text.toString();
      if (said.includes("Muster is up")) resolve();
    });
    server.on("exit", (code) => reject(new Error(`Muster ended with ${code}: ${said}`)));
  });
  const { server: url, token } = JSON.parse(readFileSync(join(state, "client.json"), "utf8")) as { server: string; token: string };
  const client = new MusterClient({ url, token });
  const pool = createPool(databaseUrl(state), "bench", { max: 2 });
  // the first jobs wait until the agent is up
  const warm = await client.jobs.submit({ name: "warm", ...TINY });
  await finished(pool, [warm.id]);

  const submitOne = async (name: string): Promise<string> => (await client.jobs.submit({ name, ...TINY })).id;
  return {
    async array(count) {
      const began = performance.now();
      const first = await client.jobs.submit({ name: "array", ...TINY, array: { count } });
      await settled(pool, "array_id = $1", [first.array?.id], count);
      return (performance.now() - began) / 1000;
    },
    async single(count, clients) {
      const began = performance.now();
      const ids: string[] = [];
      let next = 0;
      await Promise.all(
        Array.from({ length: clients }, async () => {
          while (next++ < count) ids.push(await submitOne("single"));
        }),
      );
      const submit = (performance.now() - began) / 1000;
      await finished(pool, ids);
      return { submit, all: (performance.now() - began) / 1000 };
    },
    async starts(count, perSecond) {
      const ids: Promise<string>[] = [];
      for (let i = 0; i < count; i++) {
        ids.push(submitOne("start"));
        await delay(1000 / perSecond);
      }
      const all = await Promise.all(ids);
      await finished(pool, all);
      const { rows } = await pool.query<{ ms: number }>(
        "SELECT extract(epoch FROM min(w.started_at) - j.submitted_at)::float * 1000 AS ms FROM jobs j JOIN workers w ON w.job = j.id WHERE j.id = ANY ($1) GROUP BY j.id, j.submitted_at",
        [all],
      );
      return rows.map((row) => row.ms);
    },
    async close() {
      await pool.end();
      server.removeAllListeners("exit");
      const gone = new Promise((resolve) => server.once("exit", resolve));
      server.kill("SIGTERM");
      await gone;
      await stopAgent(join(state, "agents", "bench"), true);
    },
  };
}

function databaseUrl(state: string): string {
  const port = readFileSync(join(state, "postgres/data/postmaster.pid"), "utf8").split("\n")[3];
  return `postgres://muster:${readFileSync(join(state, "postgres/password"), "utf8")}@127.0.0.1:${port}/postgres`;
}

async function finished(pool: Pool, ids: readonly string[]): Promise<void> {
  await settled(pool, "id = ANY ($1)", [ids], ids.length);
}

async function settled(pool: Pool, where: string, values: unknown[], count: number): Promise<void> {
  for (const deadline = Date.now() + 300_000; ; await delay(100)) {
    const { rows } = await pool.query<{ ended: number; failed: number }>(
      `SELECT count(*) FILTER (WHERE finished_at IS NOT NULL)::int AS ended, count(*) FILTER (WHERE state = 'failed')::int AS failed FROM jobs WHERE ${where}`,
      values,
    );
    if ((rows[0]?.failed ?? 0) > 0) throw new Error(`${rows[0]?.failed} of ${count} jobs failed`);
    if (rows[0]?.ended === count) return;
    if (Date.now() > deadline) throw new Error(`only ${rows[0]?.ended} of ${count} jobs have ended`);
  }
}
