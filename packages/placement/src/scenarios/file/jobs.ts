import type { ScenarioJob, ScenarioRole, ScenarioVariant } from "../format.ts";
import { amountsOf, choice, fieldsOf, listOf, namesOf, numberOf, only, secondsOf, textOf, Unread, type Fields } from "./amounts.ts";
import { levelName } from "./cluster.ts";

const JOB_FIELDS = [
  "job",
  "count",
  "queue",
  "prio",
  "priority",
  "preemptible",
  "pods",
  "min",
  "req",
  "on",
  "flavour",
  "flavor",
  "pool",
  "pools",
  "created",
  "admitted",
  "started",
  "submitted",
  "checkpointed",
  "topology",
  "roles",
  "variants",
  "variant_policy",
  "accelerators",
  "apart",
  "expected",
  "limit",
  "checkpoints",
];
const VARIANT_POLICY = { ordered: "ordered", fastest: "fastest", cheapest: "cheapest" } as const;

/** Jobs named by their queue alone are told apart by their round. A job is a table, or as `b1 b cpu=2`, `b1..b5 b cpu=1 each`, `A: 16 jobs cpu=1 class0`, `C: one gang of 32 x cpu=1`, `j1 8xB300`. */
export function readJobs(value: unknown, pools: readonly string[], path: string, round = ""): ScenarioJob[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Unread(`${path}: a list of jobs is expected`);
  return value.flatMap((job, i): ScenarioJob[] => {
    const at = `${path}[${i}]`;
    return typeof job === "string" ? inShort(job, round, at) : [inFull(job, pools, at)];
  });
}

function inFull(value: unknown, pools: readonly string[], path: string): ScenarioJob {
  const fields = fieldsOf(value, path);
  only(fields, JOB_FIELDS, path);
  if (typeof fields.job !== "string") throw new Unread(`${path}.job: a name is expected`);
  const job: ScenarioJob = { job: fields.job, ...readRole(fields, path), ...readTopology(fields.topology, `${path}.topology`) };
  if (fields.queue !== undefined) job.queue = textOf(fields.queue, `${path}.queue`);
  const priority = fields.prio ?? fields.priority;
  if (priority !== undefined) job.priority = priorityOf(priority, `${path}.prio`);
  if (fields.preemptible !== undefined) job.preemptible = fields.preemptible === true;
  if (fields.count !== undefined) job.count = numberOf(fields.count, `${path}.count`);
  for (const name of ["apart", "checkpoints"] as const) if (fields[name] !== undefined) job[name] = fields[name] === true;
  for (const name of ["expected", "limit"] as const) if (fields[name] !== undefined) job[name] = secondsOf(fields[name], `${path}.${name}`);
  if (fields.variant_policy !== undefined) job.variantPolicy = choice(VARIANT_POLICY, fields.variant_policy, `${path}.variant_policy`);
  if (fields.variants !== undefined) job.variants = listOf(fields.variants, `${path}.variants`).map((one, i) => readVariant(one, `${path}.variants[${i}]`));
  if (fields.roles !== undefined) {
    const roles = Object.entries(fieldsOf(fields.roles, `${path}.roles`));
    job.roles = Object.fromEntries(roles.map(([name, role]) => [name, readRole(fieldsOf(role, `${path}.roles.${name}`), `${path}.roles.${name}`)]));
    for (const [name, role] of roles) only(fieldsOf(role, path), ROLE_FIELDS, `${path}.roles.${name}`);
  }
  if (fields.on !== undefined) job.on = typeof fields.on === "string" ? [fields.on] : namesOf(fields.on, `${path}.on`);
  const submitted = fields.created ?? fields.submitted;
  if (submitted !== undefined) job.submitted = secondsOf(submitted, `${path}.created`);
  const started = fields.admitted ?? fields.started;
  if (started !== undefined) job.started = secondsOf(started, `${path}.admitted`);
  if (fields.checkpointed !== undefined) job.checkpointed = secondsOf(fields.checkpointed, `${path}.checkpointed`);
  return job.pools !== undefined || pools.length === 0 ? job : { ...job, pools: [...pools] };
}

const ROLE_FIELDS = ["pods", "min", "req", "flavour", "flavor", "pool", "pools", "accelerators"];

/** What of it each pod asks, how many there are, and where they may go. Less than one device is a share of one. */
function readRole(fields: Fields, path: string): ScenarioRole {
  const { gpu, ...amounts } = amountsOf(fields.req, `${path}.req`);
  const role: ScenarioRole = gpu === undefined ? amounts : gpu > 0 && gpu < 1 ? { ...amounts, share: gpu } : { ...amounts, gpu };
  for (const name of ["pods", "min"] as const) if (fields[name] !== undefined) role[name] = numberOf(fields[name], `${path}.${name}`);
  return { ...role, ...readWhere(fields, path) };
}

function readWhere(fields: Fields, path: string): Pick<ScenarioRole, "pools" | "accelerators"> {
  const pool = fields.flavour ?? fields.flavor ?? fields.pool;
  const where: Pick<ScenarioRole, "pools" | "accelerators"> = {};
  if (fields.pools !== undefined) where.pools = namesOf(fields.pools, `${path}.pools`);
  else if (pool !== undefined) where.pools = [textOf(pool, `${path}.flavour`)];
  if (fields.accelerators !== undefined) where.accelerators = namesOf(fields.accelerators, `${path}.accelerators`);
  return where;
}

function readVariant(value: unknown, path: string): ScenarioVariant {
  const fields = fieldsOf(value, path);
  only(fields, ["flavour", "flavor", "pool", "pools", "accelerators", "throughput"], path);
  const where = readWhere(fields, path);
  return fields.throughput === undefined ? where : { ...where, throughput: numberOf(fields.throughput, `${path}.throughput`) };
}

function priorityOf(value: unknown, path: string): number {
  const named: Readonly<Record<string, number>> = { low: 1, medium: 5, high: 10 };
  return typeof value === "string" && named[value] !== undefined ? named[value] : numberOf(value, path);
}

/** `{required: rack}` or `{preferred: rack}`, and `slices: [{level, size}]` in pods. */
export function readTopology(value: unknown, path: string): Pick<ScenarioJob, "within" | "slices"> {
  if (value === undefined) return {};
  const fields = fieldsOf(value, path);
  only(fields, ["required", "preferred", "slices"], path);
  const within = fields.required ?? fields.preferred;
  const slices = Array.isArray(fields.slices) ? fields.slices : [];
  return {
    ...(within === undefined ? {} : { within: `${fields.required === undefined ? "?" : ""}${levelName(textOf(within, path))}` }),
    ...(slices.length === 0
      ? {}
      : {
          slices: slices.map((slice, i) => {
            const { level, size } = fieldsOf(slice, `${path}.slices[${i}]`);
            return { pods: numberOf(size, `${path}.slices[${i}].size`), within: levelName(textOf(level, `${path}.slices[${i}].level`)) };
          }),
        }),
  };
}

function inShort(text: string, round: string, path: string): ScenarioJob[] {
  const plain = text.replace(/\([^)]*\)/g, "").trim();
  const priority = /\bclass(\d+)/.exec(plain);
  const urgency = priority === null ? {} : { priority: Number(priority[1]) };
  const byQueue = /^([\w-]+): (.*)$/.exec(plain);
  if (byQueue !== null) {
    const [, queue, rest] = byQueue as unknown as [string, string, string];
    const amounts = amountsIn(rest) ?? { cpu: 1 };
    const gang = /\bgang of (\d+)/.exec(rest);
    const job = queue + round;
    if (gang !== null) return [{ job, queue, pods: Number(gang[1]), ...amounts, ...urgency }];
    const jobs = /^(\d+)( single)?( jobs?)?\b/.exec(rest);
    if (jobs !== null) return [{ job, queue, ...(jobs[1] === "1" ? {} : { count: Number(jobs[1]) }), ...amounts, ...urgency }];
    throw new Unread(`${path}: "${text}"`);
  }
  const named = /^([\w-]+?)(\d*)(?:\.\.[A-Za-z_-]*(\d+))? ([\w-]+) /.exec(plain);
  const amounts = amountsIn(plain);
  if (named !== null && amounts !== null) {
    const [, base, first, last, queue] = named as unknown as [string, string, string, string | undefined, string];
    if (last === undefined) return [{ job: base + first, queue, ...amounts, ...urgency }];
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => ({ job: `${base}${Number(first) + i}`, queue, ...amounts, ...urgency }));
  }
  const onPool = /^([\w-]+) (\d+)x([\w-]+)$/.exec(plain);
  if (onPool !== null) return [{ job: onPool[1]!, gpu: Number(onPool[2]), pools: [onPool[3]!] }];
  throw new Unread(`${path}: "${text}"`);
}

function amountsIn(text: string): Pick<ScenarioJob, "gpu" | "cpu"> | null {
  const found = [...text.matchAll(/\b(gpu|cpu)=([\d.]+)/g)].map(([, name, amount]) => [name!, Number(amount)] as const);
  return found.length === 0 ? null : Object.fromEntries(found);
}
