import type { WorkerKey } from "@muster/engine";
import { InMemoryPostgres, type DatabaseImage } from "../../packages/store/src/testing/in-memory.ts";
import { applyMigrations } from "../../packages/store/src/migrate.ts";
import { applyJobAction, setNodeHealth } from "@muster/store";
import { random } from "../crash/scenarios/random.ts";
import { Cluster, SERVICES, type Shard } from "./cluster.ts";
import { SimulatedDatabase, type Mutant } from "./database.ts";
import { drawFaults, happen, type Fault, type FaultContext } from "./faults.ts";
import { Invariants } from "./invariants.ts";
import { enter, wallTime } from "./runtime.ts";
import { Trainings } from "./trainings.ts";
import { Process, World } from "./world.ts";

export interface RunOptions {
  seed: number;
  hours: number;
  nodes: number;
  shards: number;
  faultsPerHour: number;
  jobsPerHour: number;
  /** No job works for longer. */
  longestHours: number;
  /** Of the seed's faults only these, by their numbers. */
  only?: ReadonlySet<number>;
  mutant?: Mutant;
  /** Whether the database is asked every question, also those whose answer is known. */
  forgets?: boolean;
  /** Told every simulated day. */
  onDay?: (day: number) => void;
}

export interface RunFigures {
  seed: number;
  node_hours: number;
  /** Until the last job had ended. */
  hours: number;
  faults: number;
  jobs: number;
  attempts: number;
  /** Hangs that were found, and those of them by ten medians. */
  hangs: number;
  hangs_by_pace: number;
  steps: number;
  statements: number;
  checks: number;
  wall_s: number;
  hash: string;
  broken: string[];
  /** Numbers of the faults that had happened by then. */
  happened: Fault[];
}

const START = Date.UTC(2030, 0, 7);
/** Jobs get so long to end when nothing goes wrong any more. */
const PATIENCE_HOURS = 400;
const HOUR = 3_600_000;
/** When the next thing falls due that services read from the store. */
const DUE = `SELECT (extract(epoch FROM least(
    (SELECT min(due_at) FROM jobs WHERE due_at > now()), (SELECT min(not_before) FROM jobs WHERE not_before > now() AND finished_at IS NULL),
    (SELECT min(drain_deadline) FROM nodes WHERE drain_deadline > now()))) * 1000)::float8 AS due`;

let world: World | undefined;
let image: DatabaseImage | undefined;

/** An empty, migrated database; the first takes seconds, those after it a moment. */
async function database(): Promise<InMemoryPostgres> {
  if (!image) {
    const first = await InMemoryPostgres.create();
    await applyMigrations(first.client);
    image = await first.dump();
    await first.close();
    enter(() => world as World);
  }
  const postgres = await InMemoryPostgres.create(image);
  await postgres.client.query("SET plan_cache_mode = force_generic_plan");
  return postgres;
}

/** Lets a cluster live from a seed. Stops at the first thing that must never be. */
export async function run(options: RunOptions): Promise<RunFigures> {
  const began = wallTime();
  const { seed, hours, nodes, shards } = options;
  const here = (world = new World(seed, START));
  const postgres = await database();
  const store = new SimulatedDatabase(here, postgres, options.mutant);
  store.remembers = !options.forgets;
  const broken: string[] = [];
  const onWrong = (what: string): void => {
    broken.push(what);
    here.stop();
  };
  const draw = random(seed ^ 0x10ad);
  const trainings = new Trainings(here, draw);
  const cluster = new Cluster({ world: here, database: store, trainings, nodes, shards, onWrong });
  await cluster.setUp();
  const invariants = new Invariants({ world: here, database: store, cluster, trainings, onWrong });
  const blame = (workers: readonly { key: WorkerKey }[], why: string): void => {
    for (const { key } of workers) invariants.blame(key.job, key.attempt, why);
  };
  const blamePlace = (shard: Shard, milliseconds: number): void => invariants.blamePlace(shard.name, here.now(), here.now() + milliseconds + 60_000);
  trainings.onBegin = (start, shard) => invariants.began(start, shard);
  trainings.onBug = (start) => invariants.blame(start.job, start.attempt, "its own bug");
  here.afterStep = () => invariants.afterStep();
  here.onQuiet = () => invariants.whenQuiet();
  store.onCommit = (committed) => invariants.afterCommit(committed);
  here.nextDue = async () => {
    const [row] = await store.look<{ due: number | null }>(DUE);
    return row?.due ?? Number.POSITIVE_INFINITY;
  };
  here.onJump = async (from, to) => {
    const heard = cluster.shards.filter(({ line, engine }) => !line.isCut && engine.hasAgent).map(({ name }) => name);
    await store.look("UPDATE leases SET expires_at = expires_at + make_interval(secs => $1) WHERE expires_at > now()", [(to - from) / 1000]);
    await store.look("UPDATE shards SET last_seen = last_seen + make_interval(secs => $1) WHERE name = ANY ($2)", [(to - from) / 1000, heard]);
    await store.look(
      "UPDATE progress p SET step_at = step_at + make_interval(secs => $1) FROM jobs j WHERE j.id = ANY ($2) AND (p.job, p.attempt) = (j.id, j.attempt)",
      [(to - from) / 1000, trainings.heard()],
    );
  };

  for (const name of SERVICES) cluster.startService(name);
  const teller = new Process("trainings");
  trainings.tell((milliseconds, work) => void here.later(teller, milliseconds, work));
  const end = START + hours * 3_600_000;
  const arrive = (): void => {
    if (here.now() >= end) return;
    trainings.submit(cluster, options);
    here.clock.after((-Math.log(1 - draw()) * 3_600_000) / options.jobsPerHour, arrive);
  };
  here.clock.after(0, () => {
    // enough to fill it at once
    for (let first = 0; first < options.jobsPerHour * 4; first++) trainings.submit(cluster, options);
    arrive();
  });
  const context: FaultContext = { world: here, database: store, cluster, trainings, blame, blamePlace };
  const faults = drawFaults(seed, hours, options.faultsPerHour).filter(({ id }) => options.only?.has(id) ?? true);
  const happened: Fault[] = [];
  for (const fault of faults)
    here.clock.after(fault.at, () => {
      happened.push(fault);
      void happen(context, fault);
    });
  // nobody does that by himself there, and plans made for empty tables are slow
  for (let hour = 1; hour < hours; hour += hour < 4 ? 1 : 6) here.clock.after(hour * HOUR, () => void (store.isBusy || store.look("VACUUM ANALYZE")));
  for (let day = 1; day * 24 < hours; day++) here.clock.after(day * 86_400_000, () => options.onDay?.(day));
  await here.live(end);
  if (broken.length === 0) await windUp(context, invariants);
  const [counts] = await store.look<{ jobs: number; attempts: number; hangs: number; by_pace: number }>(
    `SELECT (SELECT count(*)::int FROM jobs) AS jobs, count(*)::int AS attempts, count(*) FILTER (WHERE found->>'rule' = 'hang')::int AS hangs,
      count(*) FILTER (WHERE found->>'rule' = 'hang' AND found::text LIKE '%times the median%')::int AS by_pace FROM attempts`,
  );
  const figures: RunFigures = {
    seed,
    node_hours: Math.round(((here.now() - START) / 3_600_000) * nodes),
    hours: Math.round((here.now() - START) / 360_000) / 10,
    faults: happened.length,
    jobs: counts?.jobs ?? 0,
    attempts: counts?.attempts ?? 0,
    hangs: counts?.hangs ?? 0,
    hangs_by_pace: counts?.by_pace ?? 0,
    steps: here.stepsTaken,
    statements: store.statements,
    checks: invariants.checks,
    wall_s: Math.round((wallTime() - began) / 100) / 10,
    hash: here.traceHash(),
    broken,
    happened,
  };
  for (const name of SERVICES) cluster.process(name)?.end();
  await postgres.close();
  return figures;
}

/** Nothing goes wrong any more: what is cut is joined, who is down comes back, and people let go what they held. */
async function windUp({ world: here, database: store, cluster, trainings }: FaultContext, invariants: Invariants): Promise<void> {
  const heal = (): void => {
    for (const shard of cluster.shards) {
      Object.assign(shard.line, { isCut: false, slowness: 0, doubles: 0, losses: 0 });
      shard.killTakes = 0;
      if (!shard.engine.hasAgent) shard.engine.restartAgent();
    }
    for (const name of SERVICES) cluster.startService(name);
    store.wakeTakes = () => 1;
  };
  heal();
  await here.live(here.now() + 600_000);
  heal();
  cluster.change(async (client) => {
    const { rows: nodes } = await client.query<{ name: string }>("SELECT name FROM nodes WHERE health IN ('cordoned', 'draining', 'diagnosing')");
    for (const { name } of nodes) await setNodeHealth(client, name, "ready", null, null, null);
    const { rows: jobs } = await client.query<{ id: string; state: string }>("SELECT id, state FROM jobs WHERE state IN ('held', 'suspended')");
    for (const { id, state } of jobs) await applyJobAction(client, { jobId: id, action: state === "held" ? "release" : "resume", reason: "", actor: "person" });
    await client.query("INSERT INTO events (kind, actor, node) SELECT 'node.uncordon', 'person', unnest($1::text[])", [nodes.map(({ name }) => name)]);
  });
  const limit = here.now() + PATIENCE_HOURS * 3_600_000;
  for (let open = 1, hour = 1; open > 0 && here.now() < limit && !here.isStopped; hour++) {
    // who looks for hangs must have listened for a while before it judges one, and a pace of hours makes its limit many of them
    if (hour % 8 === 0 && trainings.isHanging()) here.stayBusy(60_000);
    await here.live(here.now() + HOUR);
    const [row] = await store.look<{ open: number }>("SELECT count(*)::int AS open FROM jobs WHERE finished_at IS NULL");
    open = row?.open ?? 0;
  }
  if (!here.isStopped) await invariants.atEnd();
}
