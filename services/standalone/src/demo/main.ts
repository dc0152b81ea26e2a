import { chmodSync, cpSync, createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { AttemptView, EventView, JobView, SubmittedJobSpec } from "@muster/model";
import { pino } from "pino";
import { parse } from "yaml";
import { startStandalone, type Standalone } from "../standalone.ts";
import { Narrator } from "./narrator.ts";
import { recoveryTimes, stepsLost } from "./recovery.ts";
import { ensureRequirements, PYTORCH } from "./requirements.ts";
import { drawTimeline, renderTable } from "./summary.ts";

const HERE = import.meta.dirname;
/** The training run loses a rank here: past a checkpoint, and not just after one. */
const KILL_AFTER_STEP = 45;
const TIME_LIMIT = 300_000;

const say = new Narrator(process.stdout);

function jobOf(file: string): SubmittedJobSpec {
  return parse(readFileSync(join(HERE, "jobs", file), "utf8")) as SubmittedJobSpec;
}

interface DemoJobs {
  training: JobView;
  unbroken: JobView;
  shards: JobView;
  array: JobView[];
  waits: JobView;
}

async function submitAll({ client }: Standalone, source: string): Promise<DemoJobs> {
  const train = { ...jobOf("train.yaml"), source: { dir: source } };
  const [training] = await client.jobs.submitAll([train]);
  const [shards] = await client.jobs.submitAll([jobOf("shards.yaml")]);
  const array = await client.jobs.submitAll([jobOf("array.yaml")]);
  const [waits] = await client.jobs.submitAll([jobOf("waits.yaml")]);
  const [unbroken] = await client.jobs.submitAll([
    { ...train, name: "tiny-lm-unbroken", description: "The same run with nobody killed", after: [{ job: (training as JobView).id, on: "finished" as const }] },
  ]);
  return { training, unbroken, shards, array, waits } as DemoJobs;
}

/** Waits until a job is as asked, and fails after the demo's time limit. */
async function until(muster: Standalone, id: string, condition: (job: JobView) => boolean, deadline: number): Promise<JobView> {
  for (;;) {
    const job = await muster.client.jobs.get(id);
    if (condition(job)) return job;
    if (Date.now() > deadline) throw new Error(`${job.name} is still ${job.state} after ${TIME_LIMIT / 1000} s; its log: muster job logs ${id}`);
    await delay(100);
  }
}

const finished = (job: JobView): boolean => job.finished_at !== null;

/** The process that is rank 3 of a job. */
async function findRank(job: string, rank: number): Promise<number> {
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const environment = await readFile(`/proc/${name}/environ`, "latin1").catch(() => "");
    const variables = environment.split("\0");
    if (variables.includes(`MUSTER_JOB_ID=${job}`) && variables.includes(`RANK=${rank}`)) return Number(name);
  }
  throw new Error(`no process is rank ${rank} of ${job}`);
}

async function finalLoss({ client }: Standalone, job: JobView): Promise<string | undefined> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await delay(100)) {
    const log = Buffer.from((await client.jobs.logPart(job.id, { worker: "worker/0", attempt: job.attempt })).bytes).toString();
    const loss = /finished step=\d+\/\d+ loss=([\d.]+)/.exec(log)?.[1];
    if (loss !== undefined) return loss;
  }
  return undefined;
}

async function demo(muster: Standalone, source: string): Promise<boolean> {
  const { client } = muster;
  const deadline = Date.now() + TIME_LIMIT;
  say.title("Four jobs for three pools of different makers");
  const jobs = await submitAll(muster, source);
  const named = [jobs.training, jobs.unbroken, jobs.shards, jobs.waits];
  for (const job of named) say.name(job.id, job.name);
  for (const job of [jobs.training, jobs.shards, jobs.waits]) say.line(job.name, `submitted: ${job.description ?? ""}`);
  say.line("evaluate", `submitted: an array of ${jobs.array.length} short jobs, at most eight at a time`);

  const following = new AbortController();
  const follow = (async () => {
    for await (const event of client.streamEvents({ signal: following.signal, lastEventId: "0-0" })) say.event(event);
  })().catch(() => {});
  const array = watchArray(muster, jobs.array, deadline);
  array.catch(() => {});

  await until(muster, jobs.training.id, (job) => job.state === "running", deadline);
  const why = await client.jobs.explain(jobs.waits.id);
  say.title("Why the last job waits");
  say.write(`  ${say.style("bold", why.reason ?? "nothing")}: ${why.message}`);
  for (const hint of why.would_fit_if.slice(0, 3)) say.write(`  ${say.style("dim", "·")} ${hint}`);
  say.write(`  ${say.style("dim", "next:")} ${why.next_step}\n`);

  await until(muster, jobs.training.id, (job) => (job.progress?.step ?? 0) >= KILL_AFTER_STEP, deadline);
  const pid = await findRank(jobs.training.id, 3);
  const fault = Date.now();
  process.kill(pid, "SIGKILL");
  say.line("you", say.style("red", `SIGKILL to rank 3 of ${jobs.training.name}, process ${pid}`), say.style("red", "⚡"));

  const ended = await Promise.all(named.map((job) => until(muster, job.id, finished, deadline)));
  const arrayEnded = await array;
  await delay(300);
  following.abort();
  await follow;
  return summarise(muster, ended, arrayEnded, fault);
}

async function watchArray(muster: Standalone, jobs: readonly JobView[], deadline: number): Promise<JobView[]> {
  const array = jobs[0]?.array?.id as string;
  for (;;) {
    const ended = (await Array.fromAsync(muster.client.jobs.list({ array }))).filter(finished);
    if (ended.length === jobs.length) {
      say.line("evaluate", `all ${ended.length} short jobs have ended`, say.style("green", "✓"));
      return ended;
    }
    if (Date.now() > deadline) throw new Error(`only ${ended.length} of ${jobs.length} short jobs have ended after ${TIME_LIMIT / 1000} s`);
    await delay(250);
  }
}

async function summarise(muster: Standalone, ended: readonly JobView[], array: readonly JobView[], fault: number): Promise<boolean> {
  const { client } = muster;
  const [training, unbroken] = ended as [JobView, JobView];
  const details = await Promise.all(
    ended.map(async (job) => ({ job, attempts: await client.jobs.attempts(job.id), events: await Array.fromAsync(client.jobs.events(job.id)) })),
  );
  const begin = Math.min(...ended.map((job) => Date.parse(job.submitted_at)));
  const end = Math.max(...ended.map((job) => Date.parse(job.finished_at ?? job.submitted_at)));
  say.title("What happened");
  say.write(
    renderTable(
      ["job", "state", "timeline (░ waits  ▒ starts  █ runs  ✗ breaks)", "attempts", "steps lost"],
      [
        ...details.map(({ job, attempts }) => [job.name, job.state, drawTimeline(job, attempts, begin, end), String(job.attempt), String(stepsLost(attempts))]),
        [
          "evaluate[0.." + (array.length - 1) + "]",
          `${array.filter((job) => job.state === "succeeded").length} succeeded`,
          "",
          String(array.reduce((sum, job) => sum + job.attempt, 0)),
          "0",
        ],
      ],
    ),
  );
  const first = details[0] as { attempts: AttemptView[]; events: EventView[] };
  const times = recoveryTimes(first.events, 1, fault);
  if (times) {
    const show = (seconds: number): string => `${seconds.toFixed(2)} s`;
    say.write(
      renderTable(
        ["time to recover", "detect", "decide", "start", "reload (framework and checkpoint)"],
        [[show(times.total), show(times.detect), show(times.decide), show(times.start), show(times.reload)]],
      ),
    );
  }
  const [broken, whole] = await Promise.all([finalLoss(muster, training), finalLoss(muster, unbroken)]);
  const equal = broken !== undefined && broken === whole;
  say.write(renderTable(["final loss", "broken and brought back", "unbroken", ""], [["", broken ?? "none", whole ?? "none", equal ? "equal" : "DIFFERENT"]]));
  const good =
    equal && times !== undefined && training.attempt === 2 && unbroken.attempt === 1 && [...ended, ...array].every((job) => job.state === "succeeded");
  say.write(
    good
      ? say.style(["green", "bold"], "The run that was broken ended exactly as the one that was not.")
      : say.style(["red", "bold"], "Something is not as it should be: see above."),
  );
  return good;
}

async function main(): Promise<void> {
  await ensureRequirements([PYTORCH], (line) => say.write(line));
  const dir = mkdtempSync(join(tmpdir(), "muster-demo-"));
  chmodSync(dir, 0o711);
  const source = join(dir, "source");
  mkdirSync(source);
  cpSync(join(HERE, "train.py"), join(source, "train.py"));
  const log = createWriteStream(join(dir, "muster.log"));
  say.title("Starting Muster: database, API, scheduler, supervisor, an agent for each pool");
  const muster = await startStandalone({ logger: pino({ level: "info" }, log), stateDir: dir, port: 0, demoCluster: true, agent: { source_roots: [source] } });
  let good = false;
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
  try {
    say.write(`  ${say.style("dim", `dashboard and API at ${muster.url}`)}`);
    good = await Promise.race([demo(muster, source), interrupted]);
  } finally {
    await muster.stop({ workers: "kill" });
    log.end();
    if (good) rmSync(dir, { recursive: true, force: true });
    else say.write(`What Muster logged is in ${join(dir, "muster.log")}`);
  }
  process.exitCode = good ? 0 : 1;
}

await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
