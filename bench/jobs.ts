import { chmodSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bareSpawns } from "./jobs/bare-spawns.ts";
import { openCpuAccount } from "./jobs/cpu-account.ts";
import { startMuster } from "./jobs/muster.ts";
import { slurmIsThere, startSlurm } from "./jobs/slurm.ts";

const JOBS = 1000;
const NODES = 16;
const SLURM_SUBMITTERS = 4;
const CLIENTS = 64;

/** Slurm 22.05.8 with 16 nodes on a busy machine of two cores: median of 15 runs each. */
const SLURM_ELSEWHERE = { array_jobs_per_second: 58, jobs_per_second: 48, submissions_per_second: 64, cpu_ms_per_job: 30 };

/** Tiny jobs (`true`, one worker) from submission to their end, beside Slurm and beside bare spawns, in one run. */
export async function run(): Promise<{ figures: Record<string, number>; peers: Record<string, unknown> }> {
  const dir = await mkdtemp(join(tmpdir(), "muster-bench-"));
  chmodSync(dir, 0o755);
  const figures: Record<string, number> = {};
  const peers: Record<string, unknown> = { slurm_elsewhere: SLURM_ELSEWHERE, clients: CLIENTS, slurm_submitters: SLURM_SUBMITTERS };
  try {
    say(`${JOBS} jobs of the command true, ${NODES} nodes of 8 cpus`);
    figures["bare_spawns_per_second"] = round(await bareSpawns(dir, JOBS));
    await measureMuster(dir, figures);
    if (slurmIsThere()) await measureSlurm(dir, figures, peers);
    else say("Slurm is not here: as root on Debian, apt-get install --no-install-recommends slurm-wlm munge; its published figures stand in `peers`");
    table(figures);
    return { figures, peers };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measureMuster(dir: string, figures: Record<string, number>): Promise<void> {
  const account = openCpuAccount("muster");
  const muster = await startMuster(dir, NODES, account);
  try {
    figures["array_jobs_per_second"] = round(JOBS / (await muster.array(JOBS)));
    const before = account.milliseconds();
    const single = await muster.single(JOBS, CLIENTS);
    figures["cpu_ms_per_job"] = round((account.milliseconds() - before) / JOBS);
    figures["jobs_per_second"] = round(JOBS / single.all);
    figures["submissions_per_second"] = round(JOBS / single.submit);
    const starts = (await muster.starts(200, 20)).sort((a, b) => a - b);
    figures["start_p50_ms"] = round(starts[Math.floor(starts.length * 0.5)] as number);
    figures["start_p99_ms"] = round(starts[Math.floor(starts.length * 0.99)] as number);
  } finally {
    await muster.close();
    await account.close();
  }
}

async function measureSlurm(dir: string, figures: Record<string, number>, peers: Record<string, unknown>): Promise<void> {
  const account = openCpuAccount("slurm");
  const slurm = await startSlurm(join(dir, "slurm"), NODES, account);
  try {
    peers["slurm"] = slurm.version;
    figures["slurm_jobs_per_second"] = round(JOBS / (await slurm.array(JOBS)));
    const before = account.milliseconds();
    const single = await slurm.single(JOBS, SLURM_SUBMITTERS);
    // sbatch itself runs outside the account, as our clients do
    figures["slurm_cpu_ms_per_job"] = round((account.milliseconds() - before) / JOBS);
    figures["slurm_single_jobs_per_second"] = round(JOBS / single.all);
    figures["slurm_submissions_per_second"] = round(JOBS / single.submit);
  } finally {
    await slurm.close();
    await account.close();
  }
}

const round = (value: number): number => Math.round(value * 100) / 100;

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function table(figures: Record<string, number>): void {
  const rows: [string, string, string][] = [
    ["one array, jobs/s", "array_jobs_per_second", "slurm_jobs_per_second"],
    [`one by one, jobs/s (${CLIENTS} clients, Slurm ${SLURM_SUBMITTERS})`, "jobs_per_second", "slurm_single_jobs_per_second"],
    ["submissions/s beside running jobs", "submissions_per_second", "slurm_submissions_per_second"],
    ["CPU ms a job, all parts", "cpu_ms_per_job", "slurm_cpu_ms_per_job"],
    ["submission to start, p50 ms", "start_p50_ms", ""],
    ["submission to start, p99 ms", "start_p99_ms", ""],
    ["bare spawns/s", "bare_spawns_per_second", ""],
  ];
  say(`${"".padEnd(44)}${"Muster".padStart(10)}${"Slurm".padStart(10)}`);
  for (const [text, ours, theirs] of rows) say(`${text.padEnd(44)}${String(figures[ours] ?? "-").padStart(10)}${String(figures[theirs] ?? "-").padStart(10)}`);
}
