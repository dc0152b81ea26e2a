import type {
  Amounts,
  Expectation,
  Quota,
  Scenario,
  ScenarioJob,
  ScenarioNode,
  ScenarioPool,
  ScenarioQueue,
  ScenarioRole,
  ScenarioWindow,
  Step,
} from "./format.ts";

/** The same case, told differently: the same decisions must come of it, under the new names. */
export interface Variation {
  name: string;
  apply: (scenario: Scenario) => Scenario;
}

const AMOUNT_NAMES = new Set(["gpu", "cpu"]);

/** Names sort the other way round, so that nothing can hang on their order. */
function reversed(name: string): string {
  return `z${Array.from(name, (c) => String.fromCodePoint(0x7e - ((c.codePointAt(0) ?? 0) - 0x21)))
    .join("")
    .replaceAll("/", "|")}`;
}

function rename(scenario: Scenario, to: (name: string) => string): Scenario {
  const keys = <T>(record: Record<string, T>, value: (v: T) => T = (v) => v): Record<string, T> =>
    Object.fromEntries(Object.entries(record).map(([key, v]) => [to(key), value(v)]));
  const list = (names: string[]): string[] => names.map(to);
  const quota = (given: Quota): Quota => (Object.keys(given).every((key) => AMOUNT_NAMES.has(key)) ? given : keys(given as Record<string, Amounts>));
  // Copies of a counted job are named from its own name.
  const jobName = (name: string): string => {
    const [, base, copy] = /^(.*?)(-\d+)?$/.exec(name)!;
    return to(base!) + (copy ?? "");
  };
  const role = <T extends ScenarioRole>(r: T): T => ({ ...r, ...(r.pools === undefined ? {} : { pools: list(r.pools) }) });
  const job = (j: ScenarioJob): ScenarioJob => ({
    ...role(j),
    job: jobName(j.job),
    queue: to(j.queue ?? "q"),
    ...(j.on === undefined ? {} : { on: list(j.on) }),
    ...(j.roles === undefined ? {} : { roles: Object.fromEntries(Object.entries(j.roles).map(([name, r]) => [name, role(r)])) }),
    ...(j.variants === undefined ? {} : { variants: j.variants.map(role) }),
  });
  const window = (w: ScenarioWindow): ScenarioWindow => ({
    ...w,
    nodes: list(w.nodes),
    ...(w.jobs === undefined ? {} : { jobs: w.jobs.map(jobName) }),
    ...(w.queues === undefined ? {} : { queues: list(w.queues) }),
  });
  const jobKeys = <T>(record: Record<string, T>): Record<string, T> => Object.fromEntries(Object.entries(record).map(([k, v]) => [jobName(k), v]));
  const expectation = (e: Expectation): Expectation => ({
    ...e,
    ...(e.start === undefined
      ? {}
      : {
          start: Array.isArray(e.start) ? e.start.map(jobName) : Object.fromEntries(Object.entries(e.start).map(([k, v]) => [jobName(k), list(v)])),
        }),
    ...(e.pods === undefined ? {} : { pods: jobKeys(e.pods) }),
    ...(e.pool === undefined ? {} : { pool: Object.fromEntries(Object.entries(e.pool).map(([k, v]) => [jobName(k), to(v)])) }),
    ...(e.place === undefined ? {} : { place: { ...e.place, job: jobName(e.place.job), pods: keys(e.place.pods) } }),
    ...(e.evict === undefined ? {} : { evict: e.evict.map(jobName) }),
    ...(e.pending === undefined ? {} : { pending: e.pending.map(jobName) }),
    ...(e.keep === undefined ? {} : { keep: e.keep.map(jobName) }),
    ...(e.keepPods === undefined ? {} : { keepPods: jobKeys(e.keepPods) }),
    ...(e.runningByQueue === undefined ? {} : { runningByQueue: keys(e.runningByQueue) }),
    ...(e.evictedByQueue === undefined ? {} : { evictedByQueue: keys(e.evictedByQueue) }),
    ...(e.move === undefined ? {} : { move: Object.fromEntries(Object.entries(e.move).map(([k, v]) => [jobName(k), list(v)])) }),
    ...(e.free === undefined ? {} : { free: keys(e.free) }),
    ...(e.moveOneOf === undefined ? {} : { moveOneOf: e.moveOneOf.map(jobName) }),
    ...(e.explain === undefined ? {} : { explain: e.explain.map((x) => ({ job: jobName(x.job), reason: x.reason })) }),
    ...(e.together === undefined ? {} : { together: e.together.map((t) => ({ ...t, job: jobName(t.job) })) }),
    ...(e.anyOf === undefined ? {} : { anyOf: e.anyOf.map(expectation) }),
  });
  const node = (n: ScenarioNode): ScenarioNode => ({
    ...n,
    ...(n.pool === undefined ? {} : { pool: to(n.pool) }),
    ...(n.at === undefined ? {} : { at: Object.fromEntries(Object.entries(n.at).map(([level, block]) => [level, to(block)])) }),
  });
  const queue = (q: ScenarioQueue): ScenarioQueue => {
    const renamed: ScenarioQueue = { ...q, ...(q.parent === undefined ? {} : { parent: to(q.parent) }) };
    for (const field of ["nominal", "borrowLimit", "lendLimit", "limit", "guarantee"] as const) {
      const given = q[field];
      if (given !== undefined) renamed[field] = quota(given);
    }
    return renamed;
  };
  return {
    ...scenario,
    ...(scenario.nodes === undefined ? {} : { nodes: keys(scenario.nodes, node) }),
    ...(scenario.pools === undefined ? {} : { pools: keys(scenario.pools) }),
    ...(scenario.windows === undefined ? {} : { windows: keys(scenario.windows, window) }),
    queues: keys(scenario.queues, queue),
    ...(scenario.running === undefined ? {} : { running: scenario.running.map(job) }),
    steps: scenario.steps.map(
      (step): Step => ({
        ...step,
        ...(step.submit === undefined ? {} : { submit: step.submit.map(job) }),
        ...(step.slow === undefined ? {} : { slow: jobKeys(step.slow) }),
        ...(step.fail === undefined ? {} : { fail: list(step.fail) }),
        ...(step.finish === undefined ? {} : { finish: step.finish.map(jobName) }),
        ...(step.nodes === undefined ? {} : { nodes: keys(step.nodes, node) }),
        expect: expectation(step.expect),
      }),
    ),
  };
}

/** Lists and tables in the opposite order; the order of submission is part of the case and stays. */
function permute(scenario: Scenario): Scenario {
  const turn = <T>(record: Record<string, T>): Record<string, T> => Object.fromEntries(Object.entries(record).reverse());
  return {
    ...scenario,
    ...(scenario.nodes === undefined ? {} : { nodes: turn(scenario.nodes) }),
    ...(scenario.pools === undefined ? {} : { pools: turn(scenario.pools) }),
    ...(scenario.windows === undefined ? {} : { windows: turn(scenario.windows) }),
    queues: turn(scenario.queues),
    ...(scenario.running === undefined ? {} : { running: [...scenario.running].reverse() }),
  };
}

function scale(scenario: Scenario, by: number): Scenario {
  const amounts = <T extends Amounts>(a: T): T => ({
    ...a,
    ...(a.gpu === undefined ? {} : { gpu: a.gpu * by }),
    ...(a.cpu === undefined ? {} : { cpu: a.cpu * by }),
  });
  const quota = (given: Quota): Quota =>
    Object.keys(given).every((key) => AMOUNT_NAMES.has(key))
      ? amounts(given as Amounts)
      : Object.fromEntries(Object.entries(given as Record<string, Amounts>).map(([pool, a]) => [pool, amounts(a)]));
  const queue = (q: ScenarioQueue): ScenarioQueue => {
    const scaled = { ...q };
    for (const field of ["nominal", "borrowLimit", "lendLimit", "limit", "guarantee"] as const) {
      const given = q[field];
      if (given !== undefined) scaled[field] = quota(given);
    }
    return scaled;
  };
  const table = <T>(record: Record<string, T>, of: (value: T) => T): Record<string, T> =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key, of(value)]));
  const job = (j: ScenarioJob): ScenarioJob => ({ ...amounts(j), ...(j.roles === undefined ? {} : { roles: table(j.roles, amounts) }) });
  const pool = (p: ScenarioPool): ScenarioPool => ({ ...p, ...(p.powerBudget === undefined ? {} : { powerBudget: p.powerBudget * by }) });
  const expectation = (e: Expectation): Expectation => ({ ...e, ...(e.free === undefined ? {} : { free: table(e.free, (free) => free * by) }) });
  return {
    ...scenario,
    ...(scenario.nodes === undefined ? {} : { nodes: table(scenario.nodes, amounts) }),
    ...(scenario.pools === undefined ? {} : { pools: table(scenario.pools, pool) }),
    queues: table(scenario.queues, queue),
    ...(scenario.running === undefined ? {} : { running: scenario.running.map(job) }),
    steps: scenario.steps.map((step) => ({
      ...step,
      ...(step.submit === undefined ? {} : { submit: step.submit.map(job) }),
      ...(step.nodes === undefined ? {} : { nodes: table(step.nodes, amounts) }),
      expect: expectation(step.expect),
    })),
  };
}

/** A share is one of one device, however many a node has. */
function hasShares({ running = [], steps }: Scenario): boolean {
  const jobs = [...running, ...steps.flatMap(({ submit = [] }) => submit)];
  return jobs.some((job) => [job, ...Object.values(job.roles ?? {})].some(({ share }) => share !== undefined));
}

/** Other hardware beside it, full of other people's work. */
function withFullPool(scenario: Scenario): Scenario {
  if (scenario.nodes === undefined) return scenario;
  // Where there are several pools, a list of them would be an order.
  const [own, ...more] = new Set(Object.values(scenario.nodes).map(({ pool = "pool" }) => pool));
  const jobsStay = (job: ScenarioJob): ScenarioJob => (more.length === 0 && job.roles === undefined ? { ...job, pools: job.pools ?? [own!] } : job);
  return {
    ...scenario,
    nodes: { ...scenario.nodes, elsewhere: { gpu: 8, cpu: 8, pool: "other", accelerator: "other" } },
    running: (scenario.running ?? []).map(jobsStay),
    steps: scenario.steps.map((step) => ({ ...step, ...(step.submit === undefined ? {} : { submit: step.submit.map(jobsStay) }) })),
    queues: { ...scenario.queues, "other-people": {} },
    bystanders: [{ job: "bystander", queue: "other-people", gpu: 8, on: ["elsewhere"], pools: ["other"], preemptible: false }],
  };
}

function otherAccelerator(scenario: Scenario): Scenario {
  const nodes = scenario.nodes;
  if (nodes === undefined) return scenario;
  const other = (all: Record<string, ScenarioNode>): Record<string, ScenarioNode> =>
    Object.fromEntries(Object.entries(all).map(([id, node]) => [id, { ...node, accelerator: node.accelerator ?? "ascend-910b" }]));
  return {
    ...scenario,
    nodes: other(nodes),
    steps: scenario.steps.map((step) => ({ ...step, ...(step.nodes === undefined ? {} : { nodes: other(step.nodes) }) })),
  };
}

export const variations: readonly Variation[] = [
  { name: "renamed", apply: (s) => (s.byName === true ? s : rename(s, reversed)) },
  { name: "permuted", apply: permute },
  { name: "scaled", apply: (s) => (hasShares(s) ? s : scale(s, 3)) },
  { name: "on another accelerator", apply: otherAccelerator },
  { name: "beside a full pool", apply: withFullPool },
];
