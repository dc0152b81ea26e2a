import { stand } from './floor.ts';
import type { Standing } from './floor.ts';
import type { OrderedJob } from './job.ts';
import type { WaitingJobs } from './waiting-jobs.ts';

export interface RunningJob {
  readonly job: OrderedJob;
  readonly standing: Standing;
}

export interface RunPlan {
  /** Stop these; those that also stand in `start` only change places. */
  preempt: RunningJob[];
  start: { job: OrderedJob; standing: Standing }[];
}

export interface RunPlanInput {
  nodeDevices: number;
  /** Free devices per node now. */
  free: Int32Array;
  running: readonly RunningJob[];
  waiting: WaitingJobs;
  /** Lower goes first. Of a waiting job it is the key that `waiting` keeps. */
  keyOf: (job: OrderedJob, running: boolean) => number;
}

/**
 * Which jobs run next. Walks through running and waiting jobs in order and keeps what the number of devices allows;
 * a job that no longer fits is passed over. What is kept stays where it is; a job that starts may make small
 * neighbours change places, at the cost of their restart, where free devices are only scattered.
 * Started jobs are taken out of `waiting`; preempted ones are for the caller to put back.
 */
export function planRun(input: RunPlanInput): RunPlan {
  const { kept, dropped, chosen } = choose(input);
  if (chosen.length === 0) return { preempt: [], start: [] };
  const plan = new Arrangement(input, kept);
  for (const running of dropped) plan.vacate(running.standing);
  chosen.sort((a, b) => b.devices - a.devices || a.id - b.id);
  for (const job of chosen) if (!plan.begin(job)) input.waiting.add(job);
  // Whoever was dropped for a job that then found no place keeps its own.
  const preempt = dropped.filter((running) => !plan.reoccupy(running.standing));
  return { preempt: [...preempt, ...plan.moved.keys()], start: plan.starts() };
}

interface Choice {
  kept: RunningJob[];
  dropped: RunningJob[];
  chosen: OrderedJob[];
}

function choose({ running, waiting, free, nodeDevices, keyOf }: RunPlanInput): Choice {
  const order = running.map((r) => ({ r, key: keyOf(r.job, true) })).sort((a, b) => a.key - b.key || a.r.job.id - b.r.job.id);
  const choice: Choice = { kept: [], dropped: [], chosen: [] };
  const blocked = new Set<number>();
  let room = free.length * nodeDevices;
  let next = 0;
  for (;;) {
    const head = waiting.first(blocked);
    const candidate = order[next];
    if (head === undefined) {
      for (; next < order.length; next++) {
        const { r } = order[next]!;
        if (r.job.devices > room) choice.dropped.push(r);
        else {
          choice.kept.push(r);
          room -= r.job.devices;
        }
      }
      return choice;
    }
    if (candidate !== undefined && candidate.key <= waiting.keyOfFirst(head.devices)) {
      next++;
      if (candidate.r.job.devices > room) choice.dropped.push(candidate.r);
      else {
        choice.kept.push(candidate.r);
        room -= candidate.r.job.devices;
      }
    } else if (head.devices > room) blocked.add(head.devices);
    else {
      waiting.remove(head);
      choice.chosen.push(head);
      room -= head.devices;
    }
  }
}

interface Move {
  running: RunningJob;
  to: Standing;
}

/** The floor while a plan is made. */
class Arrangement {
  readonly moved = new Map<RunningJob, Standing>();
  readonly #free: Int32Array;
  readonly #nodeDevices: number;
  readonly #kept: readonly RunningJob[];
  readonly #started: { job: OrderedJob; standing: Standing }[] = [];
  #byNode: RunningJob[][] | null = null;

  constructor(input: RunPlanInput, kept: readonly RunningJob[]) {
    this.#free = input.free.slice();
    this.#nodeDevices = input.nodeDevices;
    this.#kept = kept;
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
  #on(node: number): RunningJob[] {
    if (this.#byNode === null) {
      const byNode: RunningJob[][] = Array.from(this.#free, () => []);
      for (const running of this.#kept) if (running.standing.nodes.length === 1) byNode[running.standing.nodes[0]!]!.push(running);
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
