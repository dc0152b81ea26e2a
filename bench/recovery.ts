/**
 * From a fault to the first new step: real processes on simulated nodes of this machine. A torchrun job (gloo, CPU) of four nodes
 * under Muster, beside the same script on the same nodes under torchrun alone, in turns. Shipped defaults, no tuning.
 *
 * BENCH_SEEDS (5) and BENCH_KILLS (2, of each kind a seed) shorten it.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { HANG_LIMITS, PHASES, SILENCE_LIMITS } from "@muster/lifecycle";
import { Random } from "@muster/replay";
import { MusterUnderTest, type BenchJob } from "./recovery/muster.ts";
import { TorchrunGang } from "./recovery/torchrun.ts";
import { until } from "./recovery/steps.ts";

const GANG = 4;
/** Two gangs that hang at the same time, and one node to replace another. */
const NODES = 2 * GANG + 1;
const SEEDS = Number(process.env["BENCH_SEEDS"] ?? 5);
const KILLS = Number(process.env["BENCH_KILLS"] ?? 2);
/** Milliseconds after which a job that hasn't come back counts as not coming back. */
const GIVE_UP = 180_000;
const LOOP_AWAY = 45_000;

type Times = Record<string, number[]>;

export async function run(): Promise<{ figures: Record<string, number>; peers: Record<string, unknown> }> {
  const dir = mkdtempSync(join(tmpdir(), "muster-bench-"));
  chmodSync(dir, 0o755);
  const bench = new Bench(dir);
  say(`${SEEDS} seeds, ${KILLS} kills of each kind a seed; gang of ${GANG} nodes, one rank each; 50 ms steps, a checkpoint each 20`);
  say(
    `Muster as shipped: a node is lost after ${SILENCE_LIMITS.lost / 1000} s of silence; a hang is ${HANG_LIMITS.factor} times the median step, at least ${HANG_LIMITS.floor / 1000} s`,
  );
  say("torchrun: c10d, its own monitor interval, --max-restarts=3; a node that dies is replaced at once by another with the same shell loop");
  try {
    for (let seed = 1; seed <= SEEDS; seed++) await bench.round(seed);
    return bench.result();
  } finally {
    await bench.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

class Bench {
  readonly #dir: string;
  readonly #times: Times = {};
  readonly #phases: Record<string, Record<string, number[]>> = {};
  readonly #counts = { bug_attempts: 0, zombie_commits: 0, control_plane_kill_restarts: 0, control_plane_kill_steps_lost: 0, database_restart_restarts: 0 };
  #muster: MusterUnderTest | undefined;
  #random = new Random(1);
  #jobs = 0;
  #withoutLoop = "";

  constructor(dir: string) {
    this.#dir = dir;
  }

  async round(seed: number): Promise<void> {
    this.#random = new Random(seed);
    this.#muster ??= await MusterUnderTest.start(join(this.#dir, "muster"), NODES);
    await this.#workers(this.#muster);
    await this.#torchrunWorkers();
    await this.#nodes(this.#muster);
    await this.#torchrunNodes();
    await this.#silence(this.#muster);
    await this.#hangs(this.#muster);
    await this.#bug(this.#muster);
    await this.#controlPlane(this.#muster);
    if (seed === 1) await this.#torchrunWithoutLoop();
    say(`seed ${seed}: ${JSON.stringify(Object.fromEntries(Object.entries(this.#times).map(([key, values]) => [key, round(median(values))])))}`);
  }

  /** A moment of its own for each fault. */
  async #moment(): Promise<void> {
    await delay(this.#random.next() * 1000);
  }

  async #submit(muster: MusterUnderTest, env: Record<string, string> = {}): Promise<BenchJob> {
    return muster.submit(`job-${++this.#jobs}`, GANG, env);
  }

  async #workers(muster: MusterUnderTest): Promise<void> {
    const job = await this.#submit(muster);
    for (let kill = 0; kill < KILLS; kill++) {
      await job.untilSteady();
      await this.#moment();
      const ranks = job.ranks();
      const victim = ranks[this.#random.below(ranks.length)] as (typeof ranks)[number];
      const at = Date.now();
      process.kill(victim.pid, "SIGKILL");
      await this.#came("worker_kill_s", job, await job.steps.firstNew(at, GIVE_UP));
    }
    await job.cancel();
  }

  /** Nodes that die and are seen to: by turns one that has not rank 0, and rank 0's. */
  async #nodes(muster: MusterUnderTest): Promise<void> {
    const job = await this.#submit(muster);
    for (const key of Array.from({ length: KILLS }, () => ["node_loss_s", "rank0_node_loss_s"]).flat()) {
      await job.untilSteady();
      await this.#moment();
      const rank = key === "rank0_node_loss_s" ? 0 : 1 + this.#random.below(GANG - 1);
      const victim = job.ranks().find((one) => one.rank === rank)?.node ?? "";
      const at = muster.killNode(victim);
      const came = await job.steps.firstNew(at, GIVE_UP);
      const lost = await job.eventAt("node.lost", victim);
      this.#note("node_seen_s", lost === undefined ? GIVE_UP : lost - at);
      await job.untilSteady();
      await this.#came(key, job, came);
      await muster.repairNode(victim);
    }
    await job.cancel();
  }

  async #silence(muster: MusterUnderTest): Promise<void> {
    const job = await this.#submit(muster, { ZOMBIE: "1" });
    for (let kill = 0; kill < KILLS; kill++) {
      await job.untilSteady();
      await this.#moment();
      // rank 0 is who commits: the worst of zombies
      const rank = kill % 2 === 0 ? 0 : 1 + this.#random.below(GANG - 1);
      const victim = job.ranks().find((one) => one.rank === rank)?.node ?? "";
      const { at, pids } = muster.silenceNode(victim);
      const came = await job.steps.firstNew(at, GIVE_UP);
      await job.untilSteady();
      await this.#came("silent_node_loss_s", job, came);
      await muster.wakeNode(pids);
      await delay(1000);
    }
    this.#counts.zombie_commits += await job.zombieCommits();
    await job.cancel();
  }

  async #hangs(muster: MusterUnderTest): Promise<void> {
    const jobs = await Promise.all(Array.from({ length: KILLS }, () => this.#submit(muster)));
    await Promise.all(
      jobs.map(async (job) => {
        // as many steps as the limit goes by
        await job.steps.untilMade(60);
        await job.untilSteady();
        const ranks = job.ranks();
        process.kill((ranks[this.#random.below(ranks.length)] as (typeof ranks)[number]).pid, "SIGSTOP");
        const at = Date.now();
        const came = await job.steps.firstNew(at, GIVE_UP);
        const found = await job.eventAt("job.no_progress");
        const last = job.steps.all().findLast((one) => one.at <= at + 500)?.at ?? at;
        this.#note("hang_found_s", found === undefined ? GIVE_UP : found - last);
        this.#note("hang_s", came ?? GIVE_UP);
        await job.cancel();
      }),
    );
  }

  async #bug(muster: MusterUnderTest): Promise<void> {
    const job = await this.#submit(muster, { BUG_AT: "30" });
    await muster.control.untilState(job.id, "failed");
    this.#counts.bug_attempts = Math.max(this.#counts.bug_attempts, (await job.attempts()).length);
  }

  async #controlPlane(muster: MusterUnderTest): Promise<void> {
    const job = await this.#submit(muster);
    await job.untilSteady();
    await this.#moment();
    await muster.control.kill();
    await job.steps.untilMade(40);
    await muster.startControl();
    await job.untilSteady();
    this.#counts.control_plane_kill_restarts += (await job.attempts()).length - 1;
    this.#counts.control_plane_kill_steps_lost += job.steps.madeAgain();
    const before = (await job.attempts()).length;
    await muster.restartDatabase(3000);
    await job.untilSteady();
    await until("the control plane back on its database", async () => (await muster.control.job(job.id).catch(() => undefined)) !== undefined, GIVE_UP);
    this.#counts.database_restart_restarts += (await job.attempts()).length - before;
    await job.cancel();
  }

  async #torchrunWorkers(): Promise<void> {
    const gang = await TorchrunGang.start(this.#dir, `torchrun-${++this.#jobs}`, GANG, { loop: true });
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        await gang.steps.untilMade(45);
        await this.#moment();
        const at = gang.killWorker(this.#random.below(GANG));
        this.#note("torchrun_worker_kill_s", (await gang.steps.firstNew(at, GIVE_UP)) ?? GIVE_UP);
      }
    } finally {
      await gang.close();
    }
  }

  /** By turns a node that doesn't host the rendezvous, and the one that does. */
  async #torchrunNodes(): Promise<void> {
    const gang = await TorchrunGang.start(this.#dir, `torchrun-${++this.#jobs}`, GANG, { loop: true });
    try {
      for (const key of Array.from({ length: KILLS }, () => ["torchrun_node_loss_s", "torchrun_rendezvous_node_loss_s"]).flat()) {
        await gang.steps.untilMade(45);
        await this.#moment();
        const at = gang.replaceNode(key === "torchrun_node_loss_s" ? 1 + this.#random.below(GANG - 1) : 0);
        this.#note(key, (await gang.steps.firstNew(at, GIVE_UP)) ?? GIVE_UP);
      }
    } finally {
      await gang.close();
    }
  }

  async #torchrunWithoutLoop(): Promise<void> {
    const gang = await TorchrunGang.start(this.#dir, `torchrun-${++this.#jobs}`, GANG, { loop: false });
    try {
      await gang.steps.untilMade(45);
      const at = gang.replaceNode(0);
      const came = await gang.steps.firstNew(at, LOOP_AWAY);
      this.#withoutLoop = came === undefined ? `not back ${LOOP_AWAY / 1000} s after the rendezvous' node died` : `${round(came / 1000)} s`;
    } finally {
      await gang.close();
    }
  }

  async #came(key: string, job: BenchJob, milliseconds: number | undefined): Promise<void> {
    this.#note(key, milliseconds ?? GIVE_UP);
    const phases = (await job.attempts()).findLast((attempt) => attempt.phases !== null)?.phases;
    for (const [phase, seconds] of Object.entries(phases ?? {})) ((this.#phases[key] ??= {})[phase] ??= []).push(seconds);
  }

  #note(key: string, milliseconds: number): void {
    (this.#times[key] ??= []).push(milliseconds / 1000);
    say(`  ${key.padEnd(34)}${(milliseconds / 1000).toFixed(2)}`);
  }

  result(): { figures: Record<string, number>; peers: Record<string, unknown> } {
    const of = (key: string): number => median(this.#times[key] ?? []);
    const figures = Object.fromEntries(
      Object.entries({
        worker_kill_s: of("worker_kill_s"),
        torchrun_worker_kill_s: of("torchrun_worker_kill_s"),
        node_loss_s: of("node_loss_s"),
        node_seen_s: of("node_seen_s"),
        silent_node_loss_after_limit_s: of("silent_node_loss_s") - SILENCE_LIMITS.lost / 1000,
        torchrun_node_loss_s: of("torchrun_node_loss_s"),
        torchrun_rendezvous_node_loss_s: of("torchrun_rendezvous_node_loss_s"),
        rank0_node_loss_s: of("rank0_node_loss_s"),
        hang_found_after_limit_s: of("hang_found_s") - HANG_LIMITS.floor / 1000,
        ...this.#counts,
      }).map(([key, value]) => [key, round(value)]),
    );
    this.#table(figures);
    return {
      figures,
      peers: {
        torchrun: "PyTorch 1.13, c10d, monitor interval 5 s, max_restarts 3, in a shell loop",
        torchrun_without_loop: this.#withoutLoop,
        times: this.#times,
      },
    };
  }

  #table(figures: Record<string, number>): void {
    say(`\n${"median (least to most, of so many), seconds".padEnd(46)}${"Muster".padStart(28)}${"torchrun".padStart(28)}`);
    const spread = (key: string, less = 0): string => {
      const all = (this.#times[key] ?? []).map((value) => value - less).sort((a, b) => a - b);
      return all.length === 0 ? "-" : `${median(all).toFixed(1)} (${all[0]?.toFixed(1)} to ${all.at(-1)?.toFixed(1)}, ${all.length})`;
    };
    const rows: [string, string, string, number?][] = [
      ["a worker is killed", "worker_kill_s", "torchrun_worker_kill_s"],
      ["a node dies", "node_loss_s", "torchrun_node_loss_s"],
      ["  until it is known to be lost", "node_seen_s", ""],
      ["the node of rank 0 (of the rendezvous) dies", "rank0_node_loss_s", "torchrun_rendezvous_node_loss_s"],
      ["a node falls silent, after its limit", "silent_node_loss_s", "", SILENCE_LIMITS.lost / 1000],
      ["a hang is found, after its limit", "hang_found_s", "", HANG_LIMITS.floor / 1000],
    ];
    for (const [text, ours, theirs, less] of rows) say(`${text.padEnd(46)}${spread(ours, less).padStart(28)}${spread(theirs).padStart(28)}`);
    say(`torchrun without a shell loop, when the rendezvous' node dies: ${this.#withoutLoop}`);
    say(`\nwhere Muster's time went, median seconds\n${"".padEnd(24)}${PHASES.map((phase) => phase.padStart(9)).join("")}`);
    for (const [key, phases] of Object.entries(this.#phases))
      say(`${key.padEnd(24)}${PHASES.map((phase) => (phases[phase] ? median(phases[phase]).toFixed(2) : "-").padStart(9)).join("")}`);
    for (const key of Object.keys(this.#counts)) say(`${key}: ${figures[key]}`);
  }

  async close(): Promise<void> {
    await this.#muster?.close();
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

const round = (value: number): number => Math.round(value * 100) / 100;

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
