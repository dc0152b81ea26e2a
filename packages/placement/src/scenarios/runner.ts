import { createEngine } from "../engine.ts";
import type { CycleResult, MemberPlacement } from "../decisions.ts";
import type { JobInput } from "../job-input.ts";
import type { PlacementEngine } from "../placement-engine.ts";
import type { QueueInput, QuotaInput } from "../queue-input.ts";
import type { Amounts, Expectation, Quota, Scenario, ScenarioJob, ScenarioNode, ScenarioQueue, ScenarioRole, Step } from "./format.ts";

const AMPLE = 100_000;
const CONFIRMING_CYCLES = 5;
const SECOND = 1000;

/** What has happened in one step. */
interface Observed {
  evicted: string[];
  shrunk: string[];
  moved: Map<string, string[]>;
}

/** Plays one scenario on a fresh engine and returns what was not as expected, in words. */
export function playScenario(scenario: Scenario): string[] {
  return new Player(scenario).play();
}

/** What comes of each step of a scenario, as an expectation of its own. Throws where it does not settle. */
export function outcomesOf(scenario: Scenario): Expectation[] {
  return new Player(scenario).outcomes();
}

class Player {
  readonly #scenario: Scenario;
  readonly #engine: PlacementEngine;
  readonly #jobs = new Map<string, ScenarioJob>();
  readonly #placed = new Map<string, MemberPlacement[]>();
  readonly #nodes = new Map<string, { pool: string; at: Record<string, string>; gpu: number; cpu: number }>();
  /** Evicted jobs and moved ones, with the cycles until their workers are gone. */
  readonly #leaving = new Map<string, number>();
  readonly #shrinking = new Map<string, MemberPlacement[]>();
  readonly #problems: string[] = [];
  #now = 0;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#engine = createEngine({
      ...(scenario.levels === undefined ? {} : { levels: scenario.levels }),
      policy: { protectedRuntimeMs: 0, ...scenario.policy },
    });
    this.#addPools();
    this.#addNodes();
    for (const [id, queue] of inTreeOrder(scenario.queues)) this.#engine.putQueue(queueInput(id, queue));
    this.#addWindows();
    this.#addRunning();
  }

  play(): string[] {
    for (const [i, step] of this.#scenario.steps.entries()) {
      const before = this.#problems.length;
      this.#step(step);
      for (let p = before; p < this.#problems.length; p++) this.#problems[p] = `step ${i + 1}: ${this.#problems[p]!}`;
    }
    return this.#problems;
  }

  outcomes(): Expectation[] {
    return this.#scenario.steps.map((step) => {
      const { evicted } = this.#step({ ...step, expect: {} });
      if (this.#problems.length > 0) throw new Error(this.#problems.join("; "));
      const waiting = [...this.#jobs.keys()].filter((job) => !this.#placed.has(job));
      return {
        evict: evicted,
        pending: waiting,
        pods: Object.fromEntries([...this.#placed].map(([job, members]) => [job, members.length])),
        explain: waiting.map((job) => ({ job, reason: this.#engine.explain(job).reason })),
      };
    });
  }

  #addPools(): void {
    for (const [id, { leaseEnd, ...pool }] of Object.entries(this.#scenario.pools ?? {})) {
      this.#engine.putPool({ id, ...pool, ...(leaseEnd === undefined ? {} : { leaseEnd: leaseEnd * SECOND }) });
    }
  }

  #addWindows(): void {
    for (const [id, window] of Object.entries(this.#scenario.windows ?? {})) {
      this.#engine.putWindow({ ...window, id, start: window.start * SECOND, end: window.end * SECOND });
    }
  }

  #addNodes(): void {
    const pools = new Set<string>();
    for (const queue of Object.values(this.#scenario.queues)) {
      for (const quota of [queue.nominal, queue.borrowLimit]) for (const pool of poolsOf(quota)) pools.add(pool);
    }
    if (pools.size === 0) pools.add("pool");
    const nodes = this.#scenario.nodes ?? Object.fromEntries([...pools].map((pool) => [`ample-${pool}`, { gpu: 1000, cpu: AMPLE, pool }]));
    for (const [id, node] of Object.entries(nodes)) this.#addNode(id, node);
  }

  #addNode(id: string, node: ScenarioNode): void {
    const pool = node.pool ?? "pool";
    this.#nodes.set(id, { pool, at: node.at ?? {}, gpu: node.gpu ?? 0, cpu: node.cpu ?? AMPLE });
    this.#engine.putNode({
      id,
      pool,
      accelerator: node.accelerator ?? "gpu",
      devices: node.gpu ?? 0,
      cpuMillis: (node.cpu ?? AMPLE) * 1000,
      memoryBytes: 2 ** 40,
      schedulable: true,
      ...(node.at === undefined ? {} : { fabric: node.at }),
    });
  }

  #addRunning(): void {
    const used = new Map<string, number>();
    const usedCpus = new Map<string, number>();
    for (const job of expand([...(this.#scenario.running ?? []), ...(this.#scenario.bystanders ?? [])])) {
      this.#jobs.set(job.job, job);
      this.#engine.submit(jobInput(job, 0));
      const members: MemberPlacement[] = [];
      for (const [role, { pods = 1, gpu = 0, cpu = 0, share = 0, pools }] of rolesOf(job)) {
        for (let rank = 0; rank < pods; rank++) {
          const node = job.on?.[members.length % job.on.length] ?? this.#firstWithRoom(job.job, { gpu, cpu }, pools ?? job.pools, used, usedCpus);
          // Shares that run are each on a device of their own.
          const first = used.get(node) ?? 0;
          const devices = share > 0 ? 1 : gpu;
          used.set(node, first + devices);
          usedCpus.set(node, (usedCpus.get(node) ?? 0) + cpu);
          members.push({
            role,
            rank,
            node,
            devices: Array.from({ length: devices }, (_, d) => first + d),
            share: share > 0 ? thousandths(share) : 1000,
            cpuMillis: cpu * 1000,
            memoryBytes: 0,
          });
        }
      }
      this.#engine.started(job.job, {
        variant: 0,
        members,
        startedAt: (job.started ?? 0) * SECOND,
        ...(job.checkpointed === undefined ? {} : { lastCheckpointAt: job.checkpointed * SECOND }),
      });
      this.#placed.set(job.job, members);
    }
    this.#now = 10 * SECOND;
  }

  #firstWithRoom(
    job: string,
    asked: Required<Amounts>,
    pools: readonly string[] | undefined,
    gpus: ReadonlyMap<string, number>,
    cpus: ReadonlyMap<string, number>,
  ): string {
    for (const [id, { pool, gpu, cpu }] of this.#nodes) {
      if (pools !== undefined && pools[0] !== pool) continue;
      if ((gpus.get(id) ?? 0) + asked.gpu <= gpu && (cpus.get(id) ?? 0) + asked.cpu <= cpu) return id;
    }
    throw new Error(`${this.#scenario.id}: no node has room for ${job}, which runs`);
  }

  #step(step: Step): Observed {
    const seen: Observed = { evicted: [], shrunk: [], moved: new Map() };
    this.#now += (step.after ?? 0) * SECOND;
    for (const job of step.finish ?? []) {
      this.#engine.finished(job, this.#now);
      for (const known of [this.#jobs, this.#placed, this.#leaving, this.#shrinking]) known.delete(job);
    }
    for (const [id, node] of Object.entries(step.nodes ?? {})) this.#addNode(id, node);
    for (const job of expand(step.submit ?? [])) {
      this.#jobs.set(job.job, job);
      this.#engine.submit(jobInput(job, this.#now));
      if (step.inOrder === true) this.#cycle(step, seen);
      this.#now++;
    }
    for (const node of step.fail ?? []) this.#failNode(node);
    let quiet = 0;
    for (let i = 0; i < 400 && quiet < 2; i++) quiet = this.#cycle(step, seen) || this.#leaving.size > 0 ? 0 : quiet + 1;
    this.#problems.push(...this.#check(step.expect, seen));
    const more: Observed = { evicted: [], shrunk: [], moved: new Map() };
    // by least service what runs falls back as time goes on: there a state is settled as of now
    const passes = Object.values(this.#scenario.queues).some(({ order }) => order === "least_service") ? 0 : SECOND;
    for (let i = 0; i < CONFIRMING_CYCLES; i++) this.#cycle(step, more, passes);
    const unrest = [...more.evicted, ...more.shrunk, ...more.moved.keys()];
    if (unrest.length > 0) this.#problems.push(`does not settle: ${unrest.join(", ")} disturbed later`);
    return seen;
  }

  #failNode(node: string): void {
    for (const [job, members] of this.#placed) {
      const lost = members.filter((member) => member.node === node);
      if (lost.length === 0) continue;
      this.#engine.lost(job, lost, this.#now);
      this.#placed.set(
        job,
        members.filter((member) => member.node !== node),
      );
    }
    this.#engine.removeNode(node);
  }

  /** One cycle and its consequences; true when anything was decided. */
  #cycle(step: Step, seen: Observed, passes = SECOND): boolean {
    this.#now += passes;
    const result: CycleResult = this.#engine.cycle(this.#now);
    for (const start of result.starts) this.#placed.set(start.job, [...start.members]);
    for (const { job } of result.evictions) {
      seen.evicted.push(job);
      this.#placed.delete(job);
      this.#leaving.set(job, step.slow?.[job] ?? 0);
    }
    for (const { job, members } of result.shrinks) {
      seen.shrunk.push(job);
      this.#shrinking.set(job, [...members]);
    }
    // Who grows stops once, and starts again with all of its members.
    for (const { job, members } of result.grows) {
      this.#placed.set(job, [...this.#placed.get(job)!, ...members]);
      this.#leaving.set(job, 0);
    }
    for (const { job, start } of result.moves) {
      seen.moved.set(
        job,
        start.members.map((member) => member.node),
      );
      this.#placed.delete(job);
      this.#leaving.set(job, step.slow?.[job] ?? 0);
    }
    for (const [job, left] of this.#leaving) {
      if (left > 0) this.#leaving.set(job, left - 1);
      else {
        this.#leaving.delete(job);
        this.#engine.released(job, this.#now);
      }
    }
    for (const [job, members] of this.#shrinking) {
      this.#shrinking.delete(job);
      this.#engine.membersReleased(job, members, this.#now);
      const gone = new Set(members.map((member) => `${member.role}/${member.rank}`));
      this.#placed.set(
        job,
        this.#placed.get(job)!.filter((member) => !gone.has(`${member.role}/${member.rank}`)),
      );
    }
    return result.starts.length + result.evictions.length + result.shrinks.length + result.moves.length > 0;
  }

  #check(expect: Expectation, seen: Observed): string[] {
    const problems: string[] = [];
    const equal = (what: string, actual: unknown, expected: unknown): void => {
      const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
      if (a !== b) problems.push(`${what}: ${a}, expected ${b}`);
    };
    const sorted = (list: Iterable<string>): string[] => [...list].sort();
    const nodes = (job: string): string[] => sorted((this.#placed.get(job) ?? []).map((member) => member.node));

    for (const job of Array.isArray(expect.start) ? expect.start : Object.keys(expect.start ?? {})) {
      if (!this.#placed.has(job)) problems.push(`${job} did not start: ${this.#engine.explain(job).message}`);
    }
    if (expect.start !== undefined && !Array.isArray(expect.start)) {
      for (const [job, on] of Object.entries(expect.start)) if (on.length > 0) equal(`nodes of ${job}`, nodes(job), sorted(on));
    }
    for (const [job, pods] of Object.entries(expect.pods ?? {})) equal(`pods of ${job}`, nodes(job).length, pods);
    for (const [job, pool] of Object.entries(expect.pool ?? {})) {
      equal(`pools of ${job}`, [...new Set(nodes(job).map((node) => this.#nodes.get(node)!.pool))], [pool]);
    }
    if (expect.place !== undefined) {
      const { job, level, pods } = expect.place;
      const found: Record<string, number> = {};
      for (const node of nodes(job)) {
        const key = level === undefined ? node : this.#block(node, level);
        found[key] = (found[key] ?? 0) + 1;
      }
      equal(`places of ${job}`, inOrder(found), inOrder(pods));
    }
    if (expect.evict !== undefined) equal("evicted", sorted(seen.evicted), sorted(expect.evict));
    for (const job of expect.pending ?? []) if (this.#placed.has(job)) problems.push(`${job} runs, expected to wait`);
    for (const job of expect.keep ?? []) {
      if (seen.evicted.includes(job) || seen.shrunk.includes(job) || seen.moved.has(job)) problems.push(`${job} was disturbed`);
      if (!this.#placed.has(job)) problems.push(`${job} does not run`);
    }
    for (const [node, free] of Object.entries(expect.free ?? {})) {
      const held = new Set([...this.#placed.values()].flatMap((members) => members.filter((member) => member.node === node).flatMap(({ devices }) => devices)));
      equal(`whole devices left on ${node}`, this.#nodes.get(node)!.gpu - held.size, free);
    }
    for (const [job, pods] of Object.entries(expect.keepPods ?? {})) {
      equal(`pods left of ${job}`, nodes(job).length, pods);
      if (seen.evicted.includes(job)) problems.push(`${job} was evicted`);
    }
    const byQueue = (jobs: Iterable<string>): Record<string, number> => {
      const counts: Record<string, number> = {};
      for (const job of jobs) {
        const queue = this.#jobs.get(job)!.queue ?? "q";
        counts[queue] = (counts[queue] ?? 0) + 1;
      }
      return counts;
    };
    const bystanders = new Set(this.#scenario.bystanders?.map((job) => job.job));
    const running = [...this.#placed.keys()].filter((job) => !bystanders.has(job));
    if (expect.runningByQueue !== undefined) equal("running", inOrder(byQueue(running)), inOrder(expect.runningByQueue));
    if (expect.evictedByQueue !== undefined) equal("evicted", inOrder(byQueue(seen.evicted)), inOrder(expect.evictedByQueue));
    if (expect.move !== undefined) {
      equal("moved", sorted(seen.moved.keys()), sorted(Object.keys(expect.move)));
      for (const [job, on] of Object.entries(expect.move)) equal(`new nodes of ${job}`, sorted(seen.moved.get(job) ?? []), sorted(on));
    }
    if (expect.moveOneOf !== undefined) {
      const moved = [...seen.moved.keys()];
      if (moved.length !== 1 || !expect.moveOneOf.includes(moved[0]!))
        problems.push(`moved ${moved.join(", ") || "nothing"}, expected one of ${expect.moveOneOf.join(", ")}`);
    }
    for (const { job, pods, within } of expect.together ?? []) {
      const members = this.#placed.get(job) ?? [];
      for (let first = 0; first < members.length; first += pods) {
        const blocks = new Set(members.slice(first, first + pods).map((member) => this.#block(member.node, within)));
        if (blocks.size > 1) problems.push(`ranks ${first} to ${first + pods - 1} of ${job} are in ${[...blocks].join(", ")}`);
      }
    }
    for (const { job, reason, says } of expect.explain ?? []) {
      const why = this.#engine.explain(job);
      equal(`reason of ${job}`, why.reason, reason);
      const text = JSON.stringify(why);
      for (const part of says ?? []) if (!text.includes(part)) problems.push(`the reason of ${job} does not say "${part}": ${why.message}`);
    }
    if (expect.anyOf !== undefined) {
      const tries = expect.anyOf.map((one) => this.#check(one, seen));
      if (tries.every((found) => found.length > 0)) problems.push(`none of: ${tries.map((found) => found.join("; ")).join(" | ")}`);
    }
    return problems;
  }

  #block(node: string, level: string): string {
    return this.#nodes.get(node)!.at[level] ?? node;
  }
}

function inOrder(counts: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));
}

function expand(jobs: readonly ScenarioJob[]): ScenarioJob[] {
  return jobs.flatMap((job) => {
    if (job.count === undefined) return [job];
    return Array.from({ length: job.count }, (_, i) => ({ ...job, job: `${job.job}-${i + 1}` }));
  });
}

function poolsOf(quota: Quota | undefined): string[] {
  return Object.entries(quota ?? {})
    .filter(([, value]) => typeof value === "object")
    .map(([pool]) => pool);
}

function inTreeOrder(queues: Readonly<Record<string, ScenarioQueue>>): [string, ScenarioQueue][] {
  const done: [string, ScenarioQueue][] = [];
  const put = (id: string): void => {
    const queue = queues[id]!;
    if (done.some(([known]) => known === id)) return;
    if (queue.parent !== undefined) put(queue.parent);
    done.push([id, queue]);
  };
  for (const id of Object.keys(queues)) put(id);
  return done;
}

const QUOTA_FIELDS = ["nominal", "borrowLimit", "lendLimit", "limit", "guarantee"] as const;

function queueInput(id: string, queue: ScenarioQueue): QueueInput {
  const quotas = new Map<string, QuotaInput>();
  for (const field of QUOTA_FIELDS) {
    const given = queue[field];
    if (given === undefined) continue;
    const pools = poolsOf(given);
    const parts: [string | undefined, Amounts][] =
      pools.length > 0 ? pools.map((pool) => [pool, (given as Record<string, Amounts>)[pool]!]) : [[undefined, given]];
    for (const [pool, amounts] of parts) {
      for (const [name, amount] of Object.entries(amounts) as [keyof Amounts, number][]) {
        const key = `${pool ?? ""}/${name}`;
        const quota = quotas.get(key) ?? { resource: name === "gpu" ? "accelerators" : "cpus", ...(pool === undefined ? {} : { pool }) };
        quotas.set(key, { ...quota, [field]: amount * 1000 });
      }
    }
  }
  return {
    id,
    quotas: [...quotas.values()],
    ...(queue.parent === undefined ? {} : { parent: queue.parent }),
    ...(queue.weight === undefined ? {} : { weight: queue.weight }),
    ...(queue.order === undefined ? {} : { order: queue.order }),
    ...(queue.reclaim === undefined ? {} : { reclaim: queue.reclaim }),
    ...(queue.withinQueue === undefined ? {} : { withinQueue: queue.withinQueue }),
    ...(queue.paused === undefined ? {} : { paused: queue.paused }),
  };
}

/** A job without roles has one, `worker`. */
function rolesOf(job: ScenarioJob): [string, ScenarioRole][] {
  return Object.entries(job.roles ?? { worker: { ...job, pools: undefined, accelerators: undefined } });
}

function thousandths(share: number): number {
  return Math.round(share * 1000);
}

function jobInput(job: ScenarioJob, now: number): JobInput {
  const perPod = Math.max(job.gpu ?? 0, 1);
  const { pools, accelerators } = job;
  const variants = job.variants ?? (pools === undefined && accelerators === undefined ? undefined : [{ ...pick({ pools, accelerators }) }]);
  return {
    id: job.job,
    queue: job.queue ?? "q",
    priority: job.priority ?? 0,
    preemptible: job.preemptible ?? true,
    submittedAt: job.submitted === undefined ? now : job.submitted * SECOND,
    roles: rolesOf(job).map(([name, { pods = 1, min = pods, gpu, cpu, share, ...where }]) => ({
      name,
      nodes: { min, max: pods },
      colocate: job.apart !== true,
      resources: {
        ...(gpu === undefined ? {} : { accelerators: gpu }),
        ...(share === undefined ? {} : { share: thousandths(share) }),
        ...(cpu === undefined ? {} : { cpuMillis: cpu * 1000 }),
      },
      ...pick({ pools: where.pools, accelerators: where.accelerators }),
    })),
    ...pick({ variants, variantPolicy: job.variantPolicy, checkpoint: job.checkpoints === true ? {} : undefined }),
    ...pick({ expectedDuration: ofSeconds(job.expected), timeLimit: ofSeconds(job.limit) }),
    ...(job.within === undefined ? {} : { within: { within: job.within.replace("?", ""), mode: job.within.startsWith("?") ? "preferred" : "required" } }),
    ...(job.slices === undefined
      ? {}
      : { segments: job.slices.map((slice) => ({ ranks: slice.pods * perPod, within: slice.within, mode: "required" as const })) }),
  };
}

function ofSeconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * SECOND;
}

/** Without what is undefined. */
function pick<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
