import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { LocalEngine } from "@muster/engine-local";
import { conformanceStart } from "@muster/engine/test-start";
import { startAgent, stopAgent } from "./index.ts";

/*
 * How many tiny workers one agent starts and ends a second, beside bare spawns of the same program:
 * `npm exec -- node services/agent/src/bench.ts [jobs] [in flight]`. Run on a quiet machine; compare within one run.
 */

const jobs = Number(process.argv[2] ?? 1000);
const inFlight = Number(process.argv[3] ?? 200);
const BARE_AT_ONCE = 8;
const TICK_MS = 10;

async function bare(folder: string): Promise<number> {
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
  return (jobs / (performance.now() - began)) * 1000;
}

/** Milliseconds of processor time of a process, its ended children not counted. */
function cpu(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

async function agent(folder: string): Promise<{ rate: number; cpuPerJob: number }> {
  const { socket, pid } = await startAgent({ shard: "bench", state_dir: folder, nodes: [{ name: "node-a" }] });
  const engine = new LocalEngine({ shard: "bench", socket });
  const { epoch, seq } = await engine.snapshot();
  const start = (i: number): ReturnType<typeof conformanceStart> => conformanceStart({ job: `job_${i}`, incarnation: "1", attempt: 1, worker: "worker/0" }, "node-a", { argv: ["true"], env: {}, files: [] }, { checkpoint: { reports: true } });
  const before = cpu(pid);
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
  const cpuPerJob = (cpu(pid) - before) / jobs;
  await engine.close();
  await stopAgent(folder, true);
  return { rate, cpuPerJob };
}

const folder = await mkdtemp("/tmp/muster-bench-");
const one = await agent(join(folder, "agent"));
const two = await bare(folder);
const figure = (value: number): string => value.toFixed(1).padStart(8);
process.stdout.write(`agent       ${figure(one.rate)} jobs/s\nbare spawns ${figure(two)} /s\nratio       ${figure(one.rate / two)}\nagent cpu   ${figure(one.cpuPerJob)} ms/job, of the agent process itself\n`);
await rm(folder, { recursive: true, force: true });
