import { stand } from "./floor.ts";
import type { Standing } from "./floor.ts";
import type { OrderedJob } from "./job.ts";
import type { WaitingJobs } from "./waiting-jobs.ts";

export interface StandingJob {
  readonly job: OrderedJob;
  readonly standing: Standing;
}

export interface RunPlan {
  /** Stop these; those that also stand in `start` only change places. */
  preempt: StandingJob[];
  start: { job: OrderedJob; standing: Standing }[];
}

export interface RunPlanInput {
  nodeDevices: number;
  /** Free devices per node now. */
  free: Int32Array;
  running: readonly StandingJob[];
  waiting: WaitingJobs;
  /** Lower goes first. Of a waiting job it is the key that `waiting` keeps. */
  keyOf: (job: OrderedJob, running: boolean) => number;
}

/**
 * Which jobs run next. Walks through the waiting jobs in order; each may push out running jobs that are behind it,
 * the last first; one that still does not fit is passed over. What is kept stays where it is; a job that starts may make small
 * neighbours change places, at the cost of their restart, where free devices are only scattered.
 * Started jobs are taken out of `waiting`; preempted ones are for the caller to put back.
 */
export function planRun(input: RunPlanInput): RunPlan {
  const { dropped, chosen } = choose(input);
  if (chosen.length === 0) return { preempt: [], start: [] };
  const plan = new Arrangement(input, dropped);
  for (const running of dropped) plan.vacate(running.standing);
  chosen.sort((a, b) => b.devices - a.devices || a.id - b.id);
  for (const job of chosen) if (!plan.begin(job)) input.waiting.add(job);
  // Whoever was dropped for a job that then found no place keeps its own.
  const preempt = [...dropped].reverse().filter((running) => !plan.reoccupy(running.standing));
  return { preempt: [...preempt, ...plan.moved.keys()], start: plan.starts() };
}

interface Choice {
  dropped: Set<StandingJob>;
  chosen: OrderedJob[];
}

/** By numbers of devices alone: a waiting job is chosen if it fits once those behind it, the last first, are gone. */
function choose({ running, waiting, free, keyOf }: RunPlanInput): Choice {
  const choice: Choice = { dropped: new Set(), chosen: [] };
  const blocked = new Set<number>();
  let room = free.reduce((sum, devices) => sum + devices, 0);
  let behind: Behind | null = null;
  for (let head = waiting.first(blocked); head !== undefined; head = waiting.first(blocked)) {
    if (head.devices > room) {
      behind ??= new Behind(running, keyOf);
      const gone = behind.take(head.devices - room, waiting.keyOfFirst(head.devices));
      if (gone === null) {
        blocked.add(head.devices);
        continue;
      }
      for (const r of gone) {
        choice.dropped.add(r);
        room += r.job.devices;
      }
    }
    waiting.remove(head);
    choice.chosen.push(head);
    room -= head.devices;
  }
  return choice;
}

/** Running jobs with their keys, taken from the last in order. */
class Behind {
  readonly #running: StandingJob[];
  readonly #keys: Float64Array;
  #count: number;

  constructor(running: readonly StandingJob[], keyOf: RunPlanInput["keyOf"]) {
    this.#running = [...running];
    this.#keys = Float64Array.from(running, (r) => keyOf(r.job, true));
    this.#count = running.length;
  }

  /** Jobs with greater keys that hold so many devices together; null, and none taken, where there are too few. */
  take(devices: number, key: number): StandingJob[] | null {
    const before = this.#count;
    let missing = devices;
    while (missing > 0) {
      const last = this.#last();
      if (last < 0 || this.#keys[last]! <= key) {
        this.#count = before;
        return null;
      }
      missing -= this.#running[last]!.job.devices;
      this.#count--;
      this.#swap(last, this.#count);
    }
    return this.#running.slice(this.#count, before);
  }

  #last(): number {
    let last = -1;
    for (let i = 0; i < this.#count; i++) if (last < 0 || this.#isBehind(i, last)) last = i;
    return last;
  }

  #isBehind(a: number, b: number): boolean {
    const difference = this.#keys[a]! - this.#keys[b]!;
    return difference > 0 || (difference === 0 && this.#running[a]!.job.id > this.#running[b]!.job.id);
  }

  #swap(a: number, b: number): void {
    [this.#running[a], this.#running[b]] = [this.#running[b]!, this.#running[a]!];
    [this.#keys[a], this.#keys[b]] = [this.#keys[b]!, this.#keys[a]!];
  }
}

interface Move {
  running: StandingJob;
  to: Standing;
}

/** The floor while a plan is made. */
class Arrangement {
  readonly moved = new Map<StandingJob, Standing>();
  readonly #free: Int32Array;
  readonly #nodeDevices: number;
  readonly #running: readonly StandingJob[];
  readonly #dropped: ReadonlySet<StandingJob>;
  readonly #started: { job: OrderedJob; standing: Standing }[] = [];
  #byNode: StandingJob[][] | null = null;

  constructor(input: RunPlanInput, dropped: ReadonlySet<StandingJob>) {
    this.#running = input.running;
    this.#dropped = dropped;
    this.#free = input.free.slice();
    this.#nodeDevices = input.nodeDevices;
  }

  vacate(standing: Standing): void {
    this.#account(standing, 1);
  }

  reoccupy(standing: Standing): boolean {
    if (standing.nodes.some((node, i) => this.#free[node]! < standing.devices[i]!)) return false;
    this.#account(standing, -1);
    return true;
  }

  begin(job: OrderedJob): boolean {
    const standing = stand(this.#free, this.#nodeDevices, job.devices) ?? this.#makeRoom(job);
    if (standing === null) return false;
    this.#account(standing, -1);
    this.#started.push({ job, standing });
    return true;
  }

  starts(): { job: OrderedJob; standing: Standing }[] {
    return [...this.#started, ...[...this.moved].map(([running, standing]) => ({ job: running.job, standing }))];
  }

  /** Frees the nodes where the fewest seconds of restarts are needed. */
  #makeRoom(job: OrderedJob): Standing | null {
    let wanted = Math.ceil(job.devices / this.#nodeDevices);
    const perNode = Math.min(job.devices, this.#nodeDevices);
    const done: Move[] = [];
    const cleared = new Set<number>();
    for (; wanted > 0; wanted--) {
      const best = this.#cheapestClearing(perNode, cleared);
      if (best === null) {
        for (const move of done.reverse()) this.#unmove(move);
        return null;
      }
      cleared.add(best.node);
      for (const move of best.moves) {
        this.#move(move);
        done.push(move);
      }
    }
    const standing = stand(this.#free, this.#nodeDevices, job.devices);
    if (standing === null) {
      for (const move of done.reverse()) this.#unmove(move);
      return null;
    }
    for (const { running, to } of done) this.moved.set(running, to);
    return standing;
  }

  #cheapestClearing(devices: number, cleared: ReadonlySet<number>): { node: number; moves: Move[] } | null {
    let best: { node: number; moves: Move[] } | null = null;
    let bestCost = Infinity;
    for (let node = 0; node < this.#free.length; node++) {
      if (cleared.has(node)) continue;
      const moves = this.#clearing(node, devices, cleared, bestCost);
      if (moves === null) continue;
      const cost = costOf(moves);
      if (cost < bestCost) {
        best = { node, moves };
        bestCost = cost;
      }
    }
    return best;
  }

  /** Moves that free so many devices of a node, small neighbours first; null where there are none below the cost. */
  #clearing(node: number, devices: number, cleared: ReadonlySet<number>, below: number): Move[] | null {
    let missing = devices - this.#free[node]!;
    const moves: Move[] = [];
    const free = this.#free.slice();
    free[node] = 0;
    for (const other of cleared) free[other] = 0;
    for (const running of this.#on(node)) {
      if (missing <= 0) break;
      const to = stand(free, this.#nodeDevices, running.job.devices);
      if (to === null) continue;
      free[to.nodes[0]!]! -= running.job.devices;
      moves.push({ running, to });
      missing -= running.job.devices;
      if (costOf(moves) >= below) return null;
    }
    return missing <= 0 ? moves : null;
  }

  /** Kept jobs that stand on this node alone and have not moved, the cheapest to restart first. */
  #on(node: number): StandingJob[] {
    if (this.#byNode === null) {
      const byNode: StandingJob[][] = Array.from(this.#free, () => []);
      for (const running of this.#running) {
        if (running.standing.nodes.length === 1 && !this.#dropped.has(running)) byNode[running.standing.nodes[0]!]!.push(running);
      }
      for (const here of byNode) here.sort((a, b) => a.job.restartCost - b.job.restartCost || a.job.devices - b.job.devices || a.job.id - b.job.id);
      this.#byNode = byNode;
    }
    return this.#byNode[node]!;
  }

  #move({ running, to }: Move): void {
    this.#account(running.standing, 1);
    this.#account(to, -1);
    const here = this.#on(running.standing.nodes[0]!);
    here.splice(here.indexOf(running), 1);
  }

  #unmove({ running, to }: Move): void {
    this.#account(to, 1);
    this.#account(running.standing, -1);
    this.#on(running.standing.nodes[0]!).unshift(running);
  }

  #account(standing: Standing, sign: 1 | -1): void {
    for (const [i, node] of standing.nodes.entries()) this.#free[node]! += sign * standing.devices[i]!;
  }
}

function costOf(moves: readonly Move[]): number {
  return moves.reduce((sum, { running }) => sum + running.job.restartCost, 0);
}
