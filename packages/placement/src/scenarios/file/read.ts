import type { Policy } from "../../policy.ts";
import type { Expectation, Scenario, ScenarioJob, Step } from "../format.ts";
import { fieldsOf, listOf, namesOf, numberOf, only, secondsOf, textOf, Unread, type Fields } from "./amounts.ts";
import { poolOrder, readCluster, readNodes, readPools, readQueues, readWindows, type Fabric } from "./cluster.ts";
import { readJobs, readTopology } from "./jobs.ts";

/** A case of a file: what is played, or why it could not be read. */
export interface ReadCase {
  id: string;
  scenario: Scenario | null;
  unread: string;
}

const PROSE = ["source", "title", "note", "must", "explain"];
const CASE_FIELDS = [
  ...PROSE,
  "id",
  "policy",
  "cluster",
  "nodes",
  "pools",
  "windows",
  "queues",
  "cohort",
  "cohorts",
  "departments",
  "tree",
  "flavours_in_order",
  "pools_in_order",
  "running",
  "submit",
  "submit_in_order",
  "fail",
  "slow",
  "by_name",
  "rounds",
  "expect",
  "pods",
  "min",
  "req",
  "topology",
];

/** Reads the cases of a parsed file. Each `variants` entry is a case of its own: the rest of the case, with these fields replaced. */
export function readCases(file: unknown): ReadCase[] {
  if (!Array.isArray(file)) throw new Error("a file of cases is a list");
  return file.flatMap((given, i): ReadCase[] => {
    const fields = fieldsOf(given, `[${i}]`);
    const id = typeof fields.id === "string" ? fields.id : `case ${i + 1}`;
    const { variants, ...common } = fields;
    if (variants === undefined) return [readCase(id, common)];
    return Object.entries(fieldsOf(variants, id)).map(([name, variant]) => {
      const at = `${id}/${name}`;
      if (typeof variant !== "object" || variant === null) return { id: at, scenario: null, unread: `${at}: "${textOf(variant, at)}"` };
      return readCase(at, overlaid(common, variant as Fields));
    });
  });
}

/** `A.reclaim_policy: never` replaces one field of queue A. */
function overlaid(common: Fields, variant: Fields): Fields {
  const merged: Record<string, unknown> = { ...common, ...variant };
  for (const [key, value] of Object.entries(variant)) {
    const [queue, field] = key.split(".");
    if (field === undefined) continue;
    delete merged[key];
    const queues = fieldsOf(merged.queues, "queues");
    merged.queues = { ...queues, [queue!]: { ...fieldsOf(queues[queue!], queue!), [field]: value } };
  }
  return merged;
}

function readCase(id: string, fields: Fields): ReadCase {
  try {
    return { id, scenario: toScenario(id, fields), unread: "" };
  } catch (error) {
    if (error instanceof Unread) return { id, scenario: null, unread: error.message };
    throw error;
  }
}

function toScenario(id: string, fields: Fields): Scenario {
  only(fields, CASE_FIELDS, id);
  const pools = poolOrder(fields, id);
  const fabric = readFabric(fields, id);
  const running = readJobs(fields.running, pools, `${id}.running`);
  const inOrder = fields.submit_in_order !== undefined;
  const steps: Step[] =
    fields.rounds === undefined
      ? [readStep({ ...fields, submit: fields.submit ?? fields.submit_in_order ?? shorthand(fields) }, pools, id)]
      : listOf(fields.rounds, `${id}.rounds`).map((round, i) => {
          const at = `${id}.rounds[${i}]`;
          only(fieldsOf(round, at), ["after", "finish", "nodes", "submit", "fail", "slow", "expect", "note"], at);
          const { nodes, ...fields } = fieldsOf(round, at);
          const step = readStep(fields, pools, at, i === 0 ? "" : `.${i + 1}`);
          return nodes === undefined ? step : { ...step, nodes: readNodes(nodes, "gpu", `${at}.nodes`).nodes };
        });
  const queues = readQueues(fields, id);
  const leaf = Object.keys(queues).find((name) => Object.values(queues).every((queue) => queue.parent !== name))!;
  const inQueue = (job: ScenarioJob): ScenarioJob => ({ ...job, queue: job.queue ?? leaf });
  return {
    id,
    title: textOf(fields.title ?? "", `${id}.title`),
    source: textOf(fields.source ?? "", `${id}.source`),
    queues,
    running: running.map(inQueue),
    ...(fields.pools === undefined ? {} : { pools: readPools(fields.pools, `${id}.pools`) }),
    ...(fields.windows === undefined ? {} : { windows: readWindows(fields.windows, `${id}.windows`) }),
    steps: steps.map((step) => ({ ...step, inOrder, submit: step.submit!.map(inQueue), expect: withPlaces(step.expect, fabric, id) })),
    // Without nodes there is room for all, and quota alone decides: nothing beyond it is there to borrow.
    policy: { ...(fabric === null ? { unassignedCapacity: "closed" as const } : {}), ...readPolicy(fields.policy) },
    ...(fields.by_name === true ? { byName: true } : {}),
    ...(fabric === null ? {} : fabric),
  };
}

function readFabric(fields: Fields, id: string): Fabric | null {
  if (fields.cluster !== undefined) return readCluster(textOf(fields.cluster, `${id}.cluster`), `${id}.cluster`);
  if (fields.nodes === undefined) return null;
  if (typeof fields.nodes !== "object") throw new Unread(`${id}.nodes: "${textOf(fields.nodes, id)}"`);
  const req = fieldsOf(fields.req, `${id}.req`);
  return readNodes(fields.nodes, req.gpu === undefined ? "cpu" : "gpu", `${id}.nodes`);
}

/** Where pods are expected, by node or by a block of any level: blocks by their whole names. */
function withPlaces(expected: Expectation, fabric: Fabric | null, id: string): Expectation {
  if (expected.place === undefined) return expected;
  const { job, pods } = expected.place;
  const nodes = Object.entries(fabric?.nodes ?? {});
  const levels = new Set<string | undefined>();
  const named = Object.entries(pods).map(([key, count]): [string, number] => {
    if (nodes.some(([node]) => node === key)) {
      levels.add(undefined);
      return [key, count];
    }
    const blocks = nodes.flatMap(([, node]) => Object.entries(node.at ?? {})).filter(([, block]) => block === key || block.endsWith(`/${key}`));
    const [first] = blocks;
    if (first === undefined || blocks.some(([, block]) => block !== first[1])) throw new Unread(`${id}.expect.place: "${key}" is not one node or block`);
    levels.add(first[0]);
    return [first[1], count];
  });
  if (levels.size > 1) throw new Unread(`${id}.expect.place: names blocks of several levels`);
  const [level] = levels;
  return { ...expected, place: { job, pods: Object.fromEntries(named), ...(level === undefined ? {} : { level }) } };
}

/** Prose where it is text; a table sets the engine's policy, in snake_case. */
function readPolicy(value: unknown): Partial<Policy> {
  if (value === undefined || typeof value === "string") return {};
  const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(fieldsOf(value, "policy")).map(([name, field]) => [camel(name), field]));
}

/** A case may state pods, req and topology of its only job, `j`, without a list. */
function shorthand(fields: Fields): unknown {
  if (fields.pods === undefined) return undefined;
  const { pods, min, req = { cpu: 1 }, topology } = fields;
  return [{ job: "j", pods, req, ...(min === undefined ? {} : { min }), ...(topology === undefined ? {} : { topology }) }];
}

function readStep(fields: Fields, pools: readonly string[], path: string, round = ""): Step {
  const submit = readJobs(fields.submit, pools, `${path}.submit`, round);
  const slow = fieldsOf(fields.slow, `${path}.slow`);
  return {
    submit,
    ...(fields.after === undefined ? {} : { after: secondsOf(fields.after, `${path}.after`) }),
    ...(fields.finish === undefined ? {} : { finish: namesOf(fields.finish, `${path}.finish`) }),
    fail: namesOf(fields.fail, `${path}.fail`),
    slow: Object.fromEntries(Object.entries(slow).map(([job, cycles]) => [job, numberOf(cycles, `${path}.slow.${job}`)])),
    expect: readExpectation(fields.expect, submit, `${path}.expect`),
  };
}

const EXPECTED = [
  "start",
  "evict",
  "pending",
  "keep",
  "keep_pods",
  "pods",
  "place",
  "move",
  "move_one_of",
  "one_of",
  "running",
  "evicted",
  "reason",
  "together",
  "free",
];

function readExpectation(value: unknown, submitted: readonly ScenarioJob[], path: string): Expectation {
  if (value === "pending") return { pending: submitted.map(({ job }) => job) };
  if (typeof value === "string") throw new Unread(`${path}: "${value}"`);
  const fields = fieldsOf(value, path);
  only(fields, EXPECTED, path);
  const expected: Expectation = { ...readStarts(fields.start, `${path}.start`) };
  const counts = (given: unknown, at: string): Record<string, number> =>
    Object.fromEntries(Object.entries(fieldsOf(given, at)).map(([name, count]) => [name, numberOf(count, `${at}.${name}`)]));
  for (const name of ["evict", "pending", "keep"] as const) if (fields[name] !== undefined) expected[name] = namesOf(fields[name], `${path}.${name}`);
  if (fields.keep_pods !== undefined) expected.keepPods = counts(fields.keep_pods, `${path}.keep_pods`);
  if (fields.pods !== undefined) expected.pods = { ...expected.pods, ...counts(fields.pods, `${path}.pods`) };
  if (fields.running !== undefined) expected.runningByQueue = counts(fields.running, `${path}.running`);
  if (fields.evicted !== undefined) expected.evictedByQueue = counts(fields.evicted, `${path}.evicted`);
  if (fields.free !== undefined) expected.free = counts(fields.free, `${path}.free`);
  if (fields.place !== undefined) {
    const job = submitted[0]?.job;
    if (job === undefined || Array.isArray(fields.place)) throw new Unread(`${path}.place: pods by block or node of the first job submitted are expected`);
    expected.place = { job, pods: counts(fields.place, `${path}.place`) };
  }
  if (fields.move !== undefined) {
    expected.move = Object.fromEntries(
      Object.entries(fieldsOf(fields.move, `${path}.move`)).map(([job, on]) => [job, typeof on === "string" ? [on] : namesOf(on, `${path}.move.${job}`)]),
    );
  }
  if (fields.move_one_of !== undefined) expected.moveOneOf = namesOf(fields.move_one_of, `${path}.move_one_of`);
  if (fields.reason !== undefined) {
    expected.explain = Object.entries(fieldsOf(fields.reason, `${path}.reason`)).map(([job, reason]) => ({
      job,
      reason: textOf(reason, `${path}.reason`) as NonNullable<Expectation["explain"]>[number]["reason"],
    }));
  }
  if (fields.together !== undefined) {
    expected.together = listOf(fields.together, `${path}.together`).map((given, i) => {
      const { job, pods, within } = fieldsOf(given, `${path}.together[${i}]`);
      return {
        job: textOf(job, `${path}.together[${i}].job`),
        pods: numberOf(pods, `${path}.together[${i}].pods`),
        within: readTopology({ required: within }, path).within!,
      };
    });
  }
  if (fields.one_of !== undefined) {
    expected.anyOf = listOf(fields.one_of, `${path}.one_of`).map((one, i) => readExpectation(one, submitted, `${path}.one_of[${i}]`));
  }
  return expected;
}

/** Names, or by job: its nodes, or `{flavour, pods}`. */
function readStarts(value: unknown, path: string): Expectation {
  if (value === undefined) return {};
  if (Array.isArray(value)) return { start: namesOf(value, path) };
  const expected: Expectation & { start: Record<string, string[]> } = { start: {} };
  for (const [job, given] of Object.entries(fieldsOf(value, path))) {
    expected.start[job] = Array.isArray(given) ? namesOf(given, `${path}.${job}`) : [];
    if (Array.isArray(given)) continue;
    const fields = fieldsOf(given, `${path}.${job}`);
    only(fields, ["flavour", "pool", "pods"], `${path}.${job}`);
    const pool = fields.flavour ?? fields.pool;
    if (pool !== undefined) expected.pool = { ...expected.pool, [job]: textOf(pool, `${path}.${job}.pool`) };
    if (fields.pods !== undefined) expected.pods = { ...expected.pods, [job]: numberOf(fields.pods, `${path}.${job}.pods`) };
  }
  return expected;
}
