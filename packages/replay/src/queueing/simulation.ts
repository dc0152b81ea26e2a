import type { OrderedJob } from "@muster/placement/ordering/job";
import type { Standing } from "./floor.ts";

export interface TraceJob {
  devices: number;
  /** Seconds. */
  submit: number;
  runTime: number;
  tenant: string;
  restartCost: number;
  limit?: number;
}

/** A job in the simulation; the scheduler may read `job`, and of it only what its class of knowledge allows. */
export interface SimJob {
  readonly job: OrderedJob;
  readonly trace: TraceJob;
  standing: Standing | null;
  firstStart: number;
  finish: number;
  preemptions: number;
  /** Start of useful work of the present run; later than its start where a restart costs. */
  workFrom: number;
  /** Invalidates events of earlier runs. */
  run: number;
  ranBefore: number;
}

export interface Decision {
  preempt: readonly SimJob[];
  start: readonly { job: SimJob; standing: Standing }[];
  /** Running jobs that change places at no cost: the published preemptive schedulers pack anew at every event. */
  move?: readonly { job: SimJob; standing: Standing }[];
}

/** Decides on the present state; told of every change before it is asked. */
export interface Scheduler {
  submitted(job: SimJob): void;
  finished(job: SimJob): void;
  decide(now: number, floor: SimFloor): Decision;
  /** When a running job is to be looked at again, in seconds of useful work from now. */
  nextChange?(job: SimJob): number;
  /** Told of the instant before anything that happens at it. */
  began?(now: number): void;
  /** When it wants to be asked again though nothing happens, while some job runs or waits. */
  wakeAt?(): number;
}

export interface SimFloor {
  nodeDevices: number;
  free: Int32Array;
  running: ReadonlySet<SimJob>;
}

export interface SimOptions {
  nodes: number;
  nodeDevices: number;
  /** Whether the first start costs as much as a restart (Muri's traces) or nothing (Philly). */
  firstStartCosts: boolean;
}

export interface SimResult {
  jobs: readonly SimJob[];
  preemptions: number;
  /** Device-seconds spent on starts, without work. */
  lostDeviceSeconds: number;
  /** Share of devices in use, over the time in which some job waited. */
  busyUtilisation: number;
  makespan: number;
}

/** Runs a trace to its end in virtual time. */
export function simulate(trace: readonly TraceJob[], scheduler: Scheduler, options: SimOptions): SimResult {
  return new Simulation(trace, scheduler, options).run();
}

/** Seconds after which a scheduler is woken at the soonest: times are rounded, and it must go on. */
const SOONEST = 1e-3;

interface Event {
  time: number;
  job: SimJob;
  run: number;
  ends: boolean;
}

class Simulation {
  readonly #jobs: SimJob[];
  readonly #scheduler: Scheduler;
  readonly #options: SimOptions;
  readonly #floor: SimFloor & { running: Set<SimJob> };
  readonly #events = new EventHeap();
  #now = 0;
  #waiting = 0;
  #preemptions = 0;
  #lost = 0;
  #used = 0;
  #busyTime = 0;
  #busyUse = 0;

  constructor(trace: readonly TraceJob[], scheduler: Scheduler, options: SimOptions) {
    this.#jobs = trace.map((t, id) => ({
      job: {
        id,
        devices: t.devices,
        submittedAt: t.submit,
        tenant: t.tenant,
        runTime: t.runTime,
        restartCost: t.restartCost,
        ran: 0,
        ...(t.limit === undefined ? {} : { limit: t.limit }),
      },
      trace: t,
      standing: null,
      firstStart: -1,
      finish: -1,
      preemptions: 0,
      workFrom: 0,
      run: 0,
      ranBefore: 0,
    }));
    this.#scheduler = scheduler;
    this.#options = options;
    this.#floor = { nodeDevices: options.nodeDevices, free: new Int32Array(options.nodes).fill(options.nodeDevices), running: new Set() };
  }

  run(): SimResult {
    const order = [...this.#jobs].sort((a, b) => a.trace.submit - b.trace.submit || a.job.id - b.job.id);
    this.#now = order[0]?.trace.submit ?? 0;
    const first = this.#now;
    let next = 0;
    while (next < order.length || this.#events.size > 0) {
      const happens = Math.min(order[next]?.trace.submit ?? Infinity, this.#events.first()?.time ?? Infinity);
      const time = Math.min(happens, Math.max(this.#now + SOONEST, this.#scheduler.wakeAt?.() ?? Infinity));
      let changed = time < happens;
      this.#advance(time);
      this.#scheduler.began?.(time);
      for (let event = this.#events.first(); event !== undefined && event.time <= time; event = this.#events.first()) {
        this.#events.pop();
        if (event.run !== event.job.run) continue;
        changed = true;
        if (event.ends) this.#end(event.job);
        else this.#look(event.job);
      }
      for (; next < order.length && order[next]!.trace.submit <= time; next++) {
        this.#waiting++;
        this.#scheduler.submitted(order[next]!);
        changed = true;
      }
      if (changed) this.#decide();
    }
    const stuck = this.#jobs.find((job) => job.finish < 0);
    if (stuck) throw new Error(`job ${stuck.job.id} (${stuck.job.devices} devices) never ran: the cluster is too small or the scheduler forgot it`);
    const capacity = this.#options.nodes * this.#options.nodeDevices;
    return {
      jobs: this.#jobs,
      preemptions: this.#preemptions,
      lostDeviceSeconds: this.#lost,
      busyUtilisation: this.#busyTime > 0 ? this.#busyUse / (this.#busyTime * capacity) : 1,
      makespan: this.#now - first,
    };
  }

  #advance(time: number): void {
    if (this.#waiting > 0) {
      this.#busyTime += time - this.#now;
      this.#busyUse += this.#used * (time - this.#now);
    }
    this.#now = time;
  }

  #decide(): void {
    for (const job of this.#floor.running) job.job.ran = ranUntil(job, this.#now);
    const { preempt, start, move = [] } = this.#scheduler.decide(this.#now, this.#floor);
    for (const job of preempt) {
      this.#leave(job);
      job.preemptions++;
      this.#preemptions++;
      this.#waiting++;
    }
    for (const { job } of move) this.#account(job.standing!, 1);
    for (const { job, standing } of move) {
      job.standing = standing;
      this.#account(standing, -1);
    }
    for (const { job, standing } of start) this.#start(job, standing);
  }

  #account(standing: Standing, sign: 1 | -1): void {
    for (const [i, node] of standing.nodes.entries()) {
      this.#floor.free[node]! += sign * standing.devices[i]!;
      if (this.#floor.free[node]! < 0) throw new Error(`node ${node} was given more than it has`);
    }
  }

  #startCost(job: SimJob): number {
    return job.firstStart < 0 && !this.#options.firstStartCosts ? 0 : job.trace.restartCost;
  }

  #start(job: SimJob, standing: Standing): void {
    const cost = this.#startCost(job);
    if (job.firstStart < 0) job.firstStart = this.#now;
    this.#lost += cost * job.job.devices;
    job.standing = standing;
    job.run++;
    job.workFrom = this.#now + cost;
    job.ranBefore = job.job.ran;
    this.#account(standing, -1);
    this.#used += job.job.devices;
    this.#waiting--;
    this.#floor.running.add(job);
    this.#events.push({ time: job.workFrom + job.trace.runTime - job.ranBefore, job, run: job.run, ends: true });
    this.#look(job);
  }

  /** Arranges for the next change of a running job's index to be seen. */
  #look(job: SimJob): void {
    job.job.ran = ranUntil(job, this.#now);
    const wait = this.#scheduler.nextChange?.(job) ?? Infinity;
    if (wait === Infinity) return;
    const time = Math.max(this.#now, job.workFrom) + Math.max(wait, 1e-3);
    if (time < job.workFrom + job.trace.runTime - job.ranBefore) this.#events.push({ time, job, run: job.run, ends: false });
  }

  #end(job: SimJob): void {
    job.job.ran = job.trace.runTime;
    job.finish = this.#now;
    this.#leave(job);
    this.#scheduler.finished(job);
  }

  #leave(job: SimJob): void {
    this.#account(job.standing!, 1);
    this.#used -= job.job.devices;
    job.standing = null;
    job.run++;
    this.#floor.running.delete(job);
  }
}

function ranUntil(job: SimJob, now: number): number {
  return Math.min(job.trace.runTime, job.ranBefore + Math.max(0, now - job.workFrom));
}

class EventHeap {
  readonly #heap: Event[] = [];

  get size(): number {
    return this.#heap.length;
  }

  first(): Event | undefined {
    return this.#heap[0];
  }

  push(event: Event): void {
    const heap = this.#heap;
    heap.push(event);
    let i = heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent]!.time <= heap[i]!.time) return;
      [heap[i], heap[parent]] = [heap[parent]!, heap[i]!];
      i = parent;
    }
  }

  pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    heap[0] = last;
    for (let i = 0; ; ) {
      let least = 2 * i + 1;
      if (least >= heap.length) return;
      if (least + 1 < heap.length && heap[least + 1]!.time < heap[least]!.time) least++;
      if (heap[i]!.time <= heap[least]!.time) return;
      [heap[i], heap[least]] = [heap[least]!, heap[i]!];
      i = least;
    }
  }
}
