import type { WorkerKey } from "@muster/engine";
import { HANG_LIMITS, nextNodeHealth, type NodeEvent } from "@muster/lifecycle";
import { appendEvents, applyJobAction, askCheckpoint, lockNode, setNodeHealth, type Client } from "@muster/store";
import { random } from "../crash/scenarios/random.ts";
import { SERVICES, type Cluster, type ServiceName, type Shard } from "./cluster.ts";
import type { SimulatedDatabase } from "./database.ts";
import { TELL_EVERY, type Trainings } from "./trainings.ts";
import type { World } from "./world.ts";

/** One thing that goes wrong, or that a person does. What it hits is drawn from the numbers that it carries, so that it stays the same when others are left out. */
export interface Fault {
  id: number;
  /** Milliseconds after the beginning. */
  at: number;
  kind: FaultKind;
  draws: number[];
}

export interface FaultContext {
  world: World;
  database: SimulatedDatabase;
  cluster: Cluster;
  trainings: Trainings;
  /** Attempts with these workers may end for it. */
  blame: (workers: readonly { key: WorkerKey }[], why: string) => void;
  /** So may those that have workers on the shard in so many milliseconds from now. */
  blamePlace: (shard: Shard, milliseconds: number) => void;
}

type Draw = () => number;
type Effect = (context: FaultContext, draw: Draw) => void | Promise<void>;

const pick = <T>(all: readonly T[], draw: Draw): T | undefined => all[Math.floor(draw() * all.length)];
/** From `least` to `most`, and as likely between 1 and 2 as between 10 and 20. */
const span = (draw: Draw, least: number, most: number): number => least * (most / least) ** draw();

const SECOND = 1000;
const MINUTE = 60 * SECOND;

const EFFECTS = {
  /** A process of a worker dies. */
  kill_worker: ({ cluster, blame }, draw) => {
    const hit = pick(cluster.living(), draw);
    if (!hit) return;
    blame([hit], "killed");
    hit.shard.engine.kill((key) => key === hit.key, draw() < 0.5 ? "SIGKILL" : "SIGSEGV");
  },
  /** A worker ends by itself, with what it says on a broken device, or without a word. */
  worker_error: ({ cluster, blame }, draw) => {
    const hit = pick(cluster.living(), draw);
    if (!hit) return;
    blame([hit], "an error");
    if (draw() < 0.5) hit.shard.engine.tell(hit.key, { kind: "print", line: "NVRM: Xid (PCI:0000:4f:00): 79, GPU has fallen off the bus" });
    hit.shard.engine.tell(hit.key, { kind: "exit", code: Math.floor(draw() * 3) === 0 ? 17 : 1 });
  },
  /** A worker stands still: found by its job's own limit, or else by its pace, which takes ten of the times between two of its reports. */
  hang: async ({ world, database, trainings, blame }, draw) => {
    const hit = pick(trainings.leaders(), draw);
    if (!hit) return;
    const hasLimit = trainings.hasLimit(hit);
    // one that has told nothing yet hangs for ever, as nobody can tell
    if (!hasLimit && !(await isPaceKnown(database, hit.start))) return;
    blame([{ key: hit.start }], "a hang");
    trainings.hang(hit);
    world.stayBusy(hasLimit ? 2.5 * MINUTE : 10 * TELL_EVERY + MINUTE);
  },
  reboot_node: ({ cluster, blame }, draw) => {
    const shard = pick(cluster.shards, draw);
    const node = shard && pick(shard.nodes, draw);
    if (!shard || node === undefined) return;
    blame(
      shard.engine.living().filter((one) => one.node === node),
      "its node was started anew",
    );
    shard.engine.reboot(node);
  },
  partition: (context, draw) => {
    const shard = pick(context.cluster.shards, draw);
    if (shard) cut(context, [shard], span(draw, SECOND, 180 * MINUTE), draw);
  },
  /** Most of the cluster can't be reached: whose fault that is isn't known. */
  mass_partition: (context, draw) => {
    const { shards } = context.cluster;
    const hit = shards.filter(() => draw() < 0.5);
    context.world.stayBusy(span(draw, MINUTE, 11 * MINUTE));
    cut(context, hit, span(draw, 5 * SECOND, 20 * MINUTE), draw);
  },
  bad_line: ({ world, cluster, blamePlace }, draw) => {
    const shard = pick(cluster.shards, draw);
    if (!shard) return;
    shard.line.slowness = span(draw, 10, 4 * SECOND);
    shard.line.doubles = draw() * 0.5;
    shard.line.losses = draw() * 0.3;
    world.stayBusy(MINUTE);
    // pings are lost as well
    if (shard.line.losses > 0.2) blamePlace(shard, MINUTE);
    world.clock.after(MINUTE, () => Object.assign(shard.line, { slowness: 0, doubles: 0, losses: 0 }));
  },
  agent_loss: ({ world, cluster, blamePlace }, draw) => {
    const shard = pick(cluster.shards, draw);
    if (!shard?.engine.hasAgent) return;
    const away = span(draw, 200, 2 * MINUTE);
    blamePlace(shard, away);
    shard.engine.loseAgent();
    world.stayBusy(Math.min(away, 40 * SECOND) + 5 * SECOND);
    world.clock.after(away, () => shard.engine.restartAgent());
  },
  slow_kills: ({ world, cluster }, draw) => {
    const shard = pick(cluster.shards, draw);
    if (shard) killSlowly(world, shard, draw, 60 * MINUTE);
  },
  /** A service dies between any two of its steps. */
  crash: (context, draw) => {
    const name = pick(SERVICES, draw);
    if (name) crashAfter(context, name, Math.floor(span(draw, 1, 200)), span(draw, 100, 30 * SECOND));
  },
  crash_all: (context, draw) => {
    const away = span(draw, 100, 2 * MINUTE);
    for (const name of SERVICES) crashAfter(context, name, Math.floor(span(draw, 1, 50)), away);
  },
  /** A service stands still, and goes on as if nothing had been. */
  pause: ({ world, cluster }, draw) => {
    const process = cluster.process(pick(SERVICES, draw) ?? "api");
    if (!process?.alive) return;
    const away = span(draw, 300, 30 * SECOND);
    world.pause(process, away);
    world.stayBusy(away + 5 * SECOND);
  },
  database_away: async ({ world, database }, draw) => {
    const away = span(draw, 300, MINUTE);
    world.stayBusy(away + 5 * SECOND);
    await database.goAway(away);
  },
  lost_answer: ({ database, cluster }, draw) => {
    const process = cluster.process(pick(SERVICES, draw) ?? "api");
    if (process?.alive) database.loseNextAnswer(process);
  },
  lost_wakes: ({ world, database }, draw) => {
    const before = database.wakeTakes;
    database.wakeTakes = () => (world.random() < 0.8 ? undefined : world.random() * 3 * SECOND);
    world.clock.after(span(draw, MINUTE, 60 * MINUTE), () => {
      database.wakeTakes = before;
    });
  },
  person: ({ cluster }, draw) => {
    const action = pick(["cancel", "suspend", "requeue", "hold", "checkpoint"] as const, draw);
    const chosen = draw();
    cluster.change(async (client) => {
      const { rows } = await client.query<{ id: string }>("SELECT id FROM jobs WHERE finished_at IS NULL ORDER BY id");
      const jobId = rows[Math.floor(chosen * rows.length)]?.id;
      if (jobId === undefined || !action) return;
      const words = { jobId, reason: "simulated", actor: "person" };
      await (action === "checkpoint" ? askCheckpoint(client, words) : applyJobAction(client, { ...words, action }));
    });
  },
  drain: ({ world, cluster }, draw) => {
    const node = pick(
      cluster.shards.flatMap(({ nodes }) => nodes),
      draw,
    );
    if (node === undefined) return;
    setHealth(cluster, node, "drain", Math.round(span(draw, 1, 3600)));
    world.clock.after(span(draw, MINUTE, 300 * MINUTE), () => setHealth(cluster, node, "uncordon", null));
  },
  cordon: ({ world, cluster }, draw) => {
    const node = pick(
      cluster.shards.flatMap(({ nodes }) => nodes),
      draw,
    );
    if (node === undefined) return;
    setHealth(cluster, node, "cordon", null);
    world.clock.after(span(draw, MINUTE, 300 * MINUTE), () => setHealth(cluster, node, "uncordon", null));
  },
} satisfies Record<string, Effect>;

export type FaultKind = keyof typeof EFFECTS;
export const FAULT_KINDS = Object.keys(EFFECTS) as FaultKind[];

/** How often each kind comes, against the others. */
const WEIGHTS: Partial<Record<FaultKind, number>> = {
  kill_worker: 4,
  worker_error: 3,
  crash: 6,
  reboot_node: 3,
  partition: 3,
  person: 3,
  hang: 2,
  mass_partition: 0.4,
  crash_all: 1,
};

/** What goes wrong in so many hours. */
export function drawFaults(seed: number, hours: number, perHour: number): Fault[] {
  const draw = random(seed ^ 0xfa017);
  const total = FAULT_KINDS.reduce((sum, kind) => sum + (WEIGHTS[kind] ?? 1), 0);
  const faults: Fault[] = [];
  for (let at = 0; ; ) {
    at += (-Math.log(1 - draw()) * 3_600_000) / perHour;
    if (at >= hours * 3_600_000) return faults;
    let place = draw() * total;
    const kind = FAULT_KINDS.find((one) => (place -= WEIGHTS[one] ?? 1) < 0) ?? "crash";
    faults.push({ id: faults.length, at, kind, draws: Array.from({ length: 24 }, draw) });
  }
}

export async function happen(context: FaultContext, fault: Fault): Promise<void> {
  const { world } = context;
  let next = 0;
  world.note(world.now(), "fault", fault.id, fault.kind);
  world.touch();
  await EFFECTS[fault.kind](context, () => fault.draws[next++ % fault.draws.length] as number);
}

function cut({ world, cluster, trainings, blamePlace }: FaultContext, shards: readonly Shard[], milliseconds: number, draw: Draw): void {
  for (const shard of shards) {
    shard.line.isCut = true;
    if (milliseconds > 10 * SECOND) blamePlace(shard, milliseconds);
  }
  world.stayBusy(Math.min(milliseconds, 40 * SECOND) + 5 * SECOND);
  // trainings behind the cut go on, and say so on other ways
  for (let at = SECOND; at < milliseconds; at *= 4)
    world.clock.after(at, () => {
      for (const { start, shard } of trainings.leaders()) if (shards.includes(shard) && draw() < 0.3) trainings.commitByApi(cluster, start);
    });
  world.clock.after(milliseconds, () => {
    for (const shard of shards) {
      shard.line.isCut = false;
      // whoever was superseded there dies slowly
      if (draw() < 0.3) killSlowly(world, shard, draw, 10 * MINUTE);
    }
    world.touch();
    world.stayBusy(5 * SECOND);
  });
}

function killSlowly(world: World, shard: Shard, draw: Draw, milliseconds: number): void {
  shard.killTakes = span(draw, SECOND, 2 * MINUTE);
  world.clock.after(milliseconds, () => {
    shard.killTakes = 0;
  });
}

async function isPaceKnown(database: SimulatedDatabase, { job, attempt }: WorkerKey): Promise<boolean> {
  const rows = await database.look("SELECT FROM progress WHERE job = $1 AND attempt = $2 AND cardinality(intervals) >= $3", [
    job,
    attempt,
    HANG_LIMITS.intervals,
  ]);
  return rows.length > 0;
}

function crashAfter({ world, cluster }: FaultContext, name: ServiceName, steps: number, away: number): void {
  const process = cluster.process(name);
  if (!process?.alive) return;
  process.diesAfter(steps, async () => {
    await cluster.crash(name);
    // until what it held by lease is another's
    world.stayBusy(away + 10 * SECOND);
    world.clock.after(away, () => cluster.startService(name));
  });
}

function setHealth(cluster: Cluster, node: string, event: NodeEvent, deadline: number | null): void {
  cluster.change(async (client: Client) => {
    const row = await lockNode(client, node);
    const next = row && nextNodeHealth(row.health, event);
    if (!row || next === undefined || (next === row.health && event !== "drain")) return;
    const ready = next === "ready";
    await setNodeHealth(client, node, next, ready ? null : "simulated", ready ? null : "person", next === "draining" ? deadline : null);
    await appendEvents(client, [{ kind: `node.${event}`, actor: "person", node, pool: row.pool, data: { from: row.health, to: next } }]);
  });
}
