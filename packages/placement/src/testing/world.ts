import fc from "fast-check";
import { createEngine } from "../engine.ts";
import type { NodeInput } from "../cluster-input.ts";
import type { CycleResult, MemberPlacement } from "../decisions.ts";
import type { JobInput } from "../job-input.ts";
import type { PlacementEngine } from "../placement-engine.ts";
import type { QueueInput } from "../queue-input.ts";

const LEVELS = ["leaf", "spine", "zone"] as const;

export const nodeArb = fc.record({
  devices: fc.integer({ min: 0, max: 4 }),
  cpus: fc.integer({ min: 1, max: 4 }),
  leaf: fc.integer({ min: 0, max: 3 }),
  pool: fc.integer({ min: 0, max: 1 }),
});

export const jobArb = fc.record({
  queue: fc.integer({ min: 0, max: 2 }),
  priority: fc.integer({ min: 0, max: 2 }),
  preemptible: fc.boolean(),
  min: fc.integer({ min: 1, max: 3 }),
  more: fc.integer({ min: 0, max: 2 }),
  devices: fc.integer({ min: 0, max: 3 }),
  share: fc.constantFrom(0, 0, 250, 500),
  cpus: fc.integer({ min: 0, max: 2 }),
  colocate: fc.boolean(),
  within: fc.constantFrom(undefined, ...LEVELS),
  required: fc.boolean(),
});

export type NodeShape = typeof nodeArb extends fc.Arbitrary<infer T> ? T : never;
export type JobShape = typeof jobArb extends fc.Arbitrary<infer T> ? T : never;

export function nodeInput(shape: NodeShape, i: number): NodeInput {
  return {
    id: `n${i}`,
    pool: `p${shape.pool}`,
    accelerator: "x",
    devices: shape.devices,
    cpuMillis: shape.cpus * 1000,
    memoryBytes: 100,
    schedulable: true,
    fabric: { leaf: `l${shape.leaf}`, spine: `s${shape.leaf >> 1}`, zone: "z" },
  };
}

export function jobInput(shape: JobShape, i: number): JobInput {
  return {
    id: `j${i}`,
    queue: `q${shape.queue}`,
    priority: shape.priority,
    preemptible: shape.preemptible,
    submittedAt: i,
    roles: [
      {
        name: "worker",
        nodes: { min: shape.min, max: shape.min + shape.more },
        colocate: shape.colocate,
        resources: { ...(shape.share > 0 ? { share: shape.share } : { accelerators: shape.devices }), cpuMillis: shape.cpus * 1000 },
      },
    ],
    ...(shape.within === undefined ? {} : { within: { within: shape.within, mode: shape.required ? ("required" as const) : ("preferred" as const) } }),
  };
}

/** The world outside the engine: it does what it is told, and checks that it can be done. */
export class World {
  readonly engine: PlacementEngine = createEngine({ policy: { protectedRuntimeMs: 0 } });
  readonly nodes = new Map<string, NodeInput>();
  readonly jobs = new Map<string, JobInput>();
  /** What workers hold for real, until they are gone. */
  readonly live = new Map<string, MemberPlacement[]>();
  readonly stopping = new Set<string>();
  readonly #startedAt = new Map<string, number>();
  readonly #queues: QueueInput[] = [];
  readonly finished = new Set<string>();
  now = 0;

  constructor(nodes: readonly NodeShape[], nominal: number) {
    for (let q = 0; q < 3; q++) {
      this.#queues.push({ id: `q${q}`, quotas: nominal === 0 ? [] : [{ resource: "accelerators", accelerator: "x", nominal: nominal * 1000 }] });
      this.engine.putQueue(this.#queues[q]!);
    }
    for (const [i, shape] of nodes.entries()) {
      this.nodes.set(`n${i}`, nodeInput(shape, i));
      this.engine.putNode(nodeInput(shape, i));
    }
  }

  submit(shape: JobShape): void {
    const input = jobInput(shape, this.jobs.size);
    this.jobs.set(input.id, input);
    this.engine.submit(input);
  }

  cycle(): CycleResult {
    this.now += 1000;
    const result = this.engine.cycle(this.now);
    for (const { job, cause } of result.evictions) {
      ensure(this.live.has(job), `${job} is evicted but does not run`);
      ensure(this.jobs.get(job)!.preemptible, `${job} may not be evicted`);
      ensure(this.engine.waitReason(cause.forJob) === "waiting_for_preemption", `${cause.forJob} is the cause, but holds no reservation`);
      this.stopping.add(job);
    }
    for (const { job } of [...result.moves, ...result.shrinks, ...result.grows]) this.stopping.add(job);
    for (const start of result.starts) this.#start(start.job, [...start.members]);
    this.#checkNodes();
    return result;
  }

  /** Workers of stopping jobs are gone. */
  release(): void {
    for (const job of this.stopping) {
      this.live.delete(job);
      this.engine.released(job, this.now);
    }
    this.stopping.clear();
  }

  finish(pick: number): void {
    const running = [...this.live.keys()].filter((job) => !this.stopping.has(job));
    const job = running[pick % Math.max(1, running.length)];
    if (job === undefined) return;
    this.live.delete(job);
    this.finished.add(job);
    this.engine.finished(job, this.now);
  }

  setSchedulable(pick: number, schedulable: boolean): void {
    const id = `n${pick % this.nodes.size}`;
    this.nodes.set(id, { ...this.nodes.get(id)!, schedulable });
    this.engine.putNode(this.nodes.get(id)!);
  }

  cancel(pick: number): void {
    const job = this.#waiting(pick);
    if (job === undefined) return;
    this.finished.add(job.id);
    this.engine.removeJob(job.id);
  }

  /** Another like one that waits. */
  submitAlike(pick: number, priority: number): void {
    const job = this.#waiting(pick);
    if (job === undefined) return;
    const input = { ...job, id: `j${this.jobs.size}`, priority, submittedAt: this.jobs.size };
    this.jobs.set(input.id, input);
    this.engine.submit(input);
  }

  reprioritize(pick: number, priority: number): void {
    const job = this.#waiting(pick);
    if (job === undefined) return;
    this.jobs.set(job.id, { ...job, priority });
    this.engine.updateJob({ ...job, priority });
  }

  /** Cycles until nothing is decided any more, which must come soon. */
  settle(): void {
    let quiet = 0;
    for (let i = 0; i < 200 && quiet < 3; i++) {
      const { starts, evictions, shrinks, grows, moves } = this.cycle();
      quiet = starts.length + evictions.length + shrinks.length + grows.length + moves.length + this.stopping.size === 0 ? quiet + 1 : 0;
      this.release();
    }
    ensure(quiet === 3, "it settles");
  }

  /** Another engine that is told of all that is there now. */
  rebuilt(): PlacementEngine {
    const engine = createEngine({ policy: { protectedRuntimeMs: 0 } });
    for (const queue of this.#queues) engine.putQueue(queue);
    for (const node of this.nodes.values()) engine.putNode(node);
    for (const [id, job] of this.jobs) {
      if (this.finished.has(id)) continue;
      engine.submit(job);
      const members = this.live.get(id);
      if (members !== undefined) engine.started(id, { variant: 0, members, startedAt: this.#startedAt.get(id)! });
    }
    return engine;
  }

  /** One of the jobs that wait, and for which nobody is stopped. */
  #waiting(pick: number): JobInput | undefined {
    const waits = (id: string): boolean => !this.live.has(id) && !this.stopping.has(id) && !this.finished.has(id);
    const all = [...this.jobs.values()].filter(({ id }) => waits(id) && this.engine.waitReason(id) !== "waiting_for_preemption");
    return all[pick % Math.max(1, all.length)];
  }

  #start(id: string, members: MemberPlacement[]): void {
    const input = this.jobs.get(id)!;
    const role = input.roles[0]!;
    ensure(!this.live.has(id), `${id} starts while it still runs`);
    ensure(members.length >= role.nodes.min && members.length <= role.nodes.max, `${id} starts with ${members.length} members`);
    ensure(
      members.every((member, rank) => member.rank === rank),
      `ranks of ${id} are in order`,
    );
    if (role.colocate !== true) ensure(new Set(members.map((member) => member.node)).size === members.length, `${id} has a node for each member`);
    ensure(new Set(members.map((member) => this.nodes.get(member.node)!.pool)).size === 1, `${id} stays in one pool`);
    if (input.within?.mode === "required") {
      const blocks = new Set(members.map((member) => this.nodes.get(member.node)!.fabric![input.within!.within]));
      ensure(blocks.size === 1, `${id} stays in one ${input.within.within}`);
    }
    for (const member of members) {
      const asked = role.resources.accelerators ?? (role.resources.share === undefined ? 0 : 1);
      ensure(member.devices.length === asked && new Set(member.devices).size === asked, `${id} holds ${asked} devices`);
    }
    this.live.set(id, members);
    this.#startedAt.set(id, this.now);
  }

  #checkNodes(): void {
    const held = new Map<string, number>();
    const cpus = new Map<string, number>();
    for (const members of this.live.values()) {
      for (const member of members) {
        cpus.set(member.node, (cpus.get(member.node) ?? 0) + member.cpuMillis);
        for (const d of member.devices) held.set(`${member.node}/${d}`, (held.get(`${member.node}/${d}`) ?? 0) + member.share);
      }
    }
    for (const [device, share] of held) ensure(share <= 1000, `${share} thousandths of ${device} are held`);
    for (const [node, used] of cpus) ensure(used <= this.nodes.get(node)!.cpuMillis, `${used} thousandths of a cpu of ${node} are held`);
  }
}

function ensure(held: boolean, what: string): void {
  if (!held) throw new Error(`not so: ${what}`);
}
