import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { LocalEngine } from "@muster/engine-local";
import { conformanceStart } from "@muster/engine/test-start";
import { startAgent, stopAgent } from "./index.ts";
import { allPids, readStat } from "./procs.ts";

/*
 * How many tiny workers one agent starts and ends a second, beside bare spawns of the same program:
 * `npm exec -- node services/agent/src/bench.ts [jobs] [in flight]`. Run on a quiet machine; compare within one run.
 */

const jobs = Number(process.argv[2] ?? 1000);
const inFlight = Number(process.argv[3] ?? 200);
const BARE_AT_ONCE = 8;
const TICK_MS = 10;

interface Figures {
  rate: number;
  /** Milliseconds of processor time a job: of the agent or spawning process itself, and of all that takes part. */
  own: number;
  all: number;
}

async function bare(folder: string): Promise<Figures> {
  const before = cpu(process.pid);
  const began = performance.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < jobs) {
      const log = openSync(join(folder, `${next++}.log`), "a");
      const child = spawn("true", [], { stdio: ["ignore", log, log] });
      closeSync(log);
      await new Promise((resolve) => {
        child.on("exit", resolve);
      });
    }
  };
  await Promise.all(Array.from({ length: BARE_AT_ONCE }, lane));
  const rate = (jobs / (performance.now() - began)) * 1000;
  const after = cpu(process.pid);
  const own = (after.own - before.own) / jobs;
  return { rate, own, all: own + (after.children - before.children) / jobs };
}

/** Milliseconds of processor time of a process itself, and of its ended children; nothing of one that is gone. */
function cpu(pid: number): { own: number; children: number } {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return { own: 0, children: 0 };
  }
  const fields = (stat.split(") ")[1]?.split(" ") ?? []).map(Number);
  const at = (index: number): number => fields[index] ?? 0;
  return { own: (at(11) + at(12)) * TICK_MS, children: (at(13) + at(14)) * TICK_MS };
}

/** Those of a process and of the processes that it has started: forkers, shims and programs. */
function cpuOfAll(pid: number): number {
  const helpers = allPids().filter((one) => readStat(one)?.ppid === pid);
  return [pid, ...helpers].map(cpu).reduce((sum, { own, children }) => sum + own + children, 0);
}

async function agent(folder: string): Promise<Figures> {
  const { socket, pid } = await startAgent({ shard: "bench", state_dir: folder, nodes: [{ name: "node-a" }] });
  const engine = new LocalEngine({ shard: "bench", socket });
  const { epoch, seq } = await engine.snapshot();
  const start = (i: number): ReturnType<typeof conformanceStart> =>
    conformanceStart(
      { job: `job_${i}`, incarnation: "1", attempt: 1, worker: "worker/0" },
      "node-a",
      { argv: ["true"], env: {}, files: [] },
      { checkpoint: { reports: true } },
    );
  const before = cpu(pid).own;
  const allBefore = cpuOfAll(pid);
  const began = performance.now();
  let sent = 0;
  let ended = 0;
  const send = async (): Promise<void> => {
    const count = Math.min(inFlight - (sent - ended), jobs - sent);
    if (count <= 0) return;
    const batch = Array.from({ length: count }, (_, i) => start(sent + i));
    sent += count;
    await engine.start(batch);
  };
  await send();
  for await (const batch of engine.observe(epoch, seq, new AbortController().signal)) {
    const done = batch.flatMap((one) => (one.kind === "exited" ? [{ job: one.job, incarnation: one.incarnation, attempt: one.attempt }] : []));
    ended += done.length;
    if (done.length > 0) await engine.forget(done);
    if (ended === jobs) break;
    await send();
  }
  const rate = (jobs / (performance.now() - began)) * 1000;
  const own = (cpu(pid).own - before) / jobs;
  const all = (cpuOfAll(pid) - allBefore) / jobs;
  await engine.close();
  await stopAgent(folder, true);
  return { rate, own, all };
}

const folder = await mkdtemp("/tmp/muster-bench-");
const one = await agent(join(folder, "agent"));
const two = await bare(folder);
const line = (name: string, { rate, own, all }: Figures): string =>
  `${name.padEnd(12)}${rate.toFixed(0).padStart(6)} /s${own.toFixed(2).padStart(8)} ms of its own${all.toFixed(2).padStart(8)} ms in all\n`;
process.stdout.write(`${line("agent", one)}${line("bare spawns", two)}ratio       ${(one.rate / two.rate).toFixed(2).padStart(6)}\n`);
await rm(folder, { recursive: true, force: true });
