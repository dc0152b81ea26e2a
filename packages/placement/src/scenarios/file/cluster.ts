import type { FabricLevel } from "../../cluster-input.ts";
import type { ScenarioNode, ScenarioPool, ScenarioQueue, ScenarioWindow } from "../format.ts";
import { amountsOf, choice, fieldsOf, namesOf, numberOf, only, quotaOf, resourceOf, secondsOf, textOf, Unread, type Fields } from "./amounts.ts";

/** What levels are called elsewhere, from the bottom up. */
const LADDER: readonly FabricLevel[] = [
  { name: "domain", rung: "domain" },
  { name: "rack", rung: "leaf" },
  { name: "block", rung: "spine" },
  { name: "zone", rung: "zone" },
  { name: "datacenter" },
  { name: "region" },
];
const ALIASES: Readonly<Record<string, string>> = { host: "node", hostname: "node", leaf: "rack", spine: "block" };

export function levelName(name: string): string {
  return ALIASES[name] ?? name;
}

export interface Fabric {
  levels: readonly FabricLevel[];
  nodes: Record<string, ScenarioNode>;
}

/**
 * Nodes with their amounts and the blocks they are in. A block's name holds those above it, as two may be called alike. `n` may also
 * be a number, for its resource of the jobs, and its key a path: `block/rack/n`.
 */
export function readNodes(value: unknown, resource: "gpu" | "cpu", path: string): Fabric {
  const levels = [...LADDER];
  const nodes: Record<string, ScenarioNode> = {};
  for (const [key, given] of Object.entries(fieldsOf(value, path))) {
    const above = key.split("/");
    const id = above.pop()!;
    const fields: Fields = typeof given === "number" ? { [resource]: given } : fieldsOf(given, `${path}.${key}`);
    const blocks = new Map(above.reverse().map((block, i) => [["rack", "block", "zone"][i]!, block]));
    const node: ScenarioNode = {};
    for (const [name, field] of Object.entries(fields)) {
      if (resourceOf(name) !== null) Object.assign(node, amountsOf({ [name]: field }, `${path}.${key}`));
      else if (name === "pool" || name === "flavour" || name === "flavor") node.pool = textOf(field, `${path}.${key}.${name}`);
      else if (name === "accelerator") node.accelerator = textOf(field, `${path}.${key}.${name}`);
      else if (levels.some((level) => level.name === levelName(name))) blocks.set(levelName(name), textOf(field, `${path}.${key}.${name}`));
      else throw new Unread(`${path}.${key}.${name}: neither a resource nor a level of the fabric`);
    }
    const at: Record<string, string> = {};
    let inside = "";
    for (const { name } of [...levels].reverse()) {
      const block = blocks.get(name);
      if (block !== undefined) at[name] = inside = inside === "" ? block : `${inside}/${block}`;
    }
    nodes[id] = Object.keys(at).length === 0 ? node : { ...node, at };
  }
  return { levels, nodes };
}

/**
 * `1 datacenter x 2 zones x 2 blocks x 2 racks = 8 racks (r0..r7), 18 nodes per rack, 2 gpu per node`: racks are numbered through.
 */
export function readCluster(text: string, path: string): Fabric {
  const shape = text.split("=")[0]!;
  const counts = [...shape.matchAll(/(\d+) (datacenter|zone|block|rack)s?\b/g)].map(([, count, level]) => ({ count: Number(count), level: level! }));
  const perRack = /(\d+) nodes? per rack/.exec(text);
  const perNode = /(\d+) (gpu|cpu)s? per node/.exec(text);
  if (counts.length === 0 || counts.at(-1)!.level !== "rack" || perRack === null || perNode === null) throw new Unread(`${path}: "${text}"`);
  const racks = counts.reduce((product, { count }) => product * count, 1);
  const nodes: Record<string, ScenarioNode> = {};
  for (let rack = 0; rack < racks; rack++) {
    const at: Record<string, string> = {};
    let below = racks;
    for (const { count, level } of counts) {
      below /= count;
      at[level] = `${level[0]}${Math.floor(rack / below)}`;
    }
    for (let n = 0; n < Number(perRack[1]); n++) nodes[`r${rack}-n${n}`] = { [perNode[2]!]: Number(perNode[1]), at };
  }
  return { levels: LADDER, nodes };
}

const RECLAIM = {
  any_priority: "any_priority",
  any: "any_priority",
  lower_priority: "lower_priority",
  lower_priority_only: "lower_priority",
  never: "never",
} as const;
const ORDER = { strict: "strict", strict_fifo: "strict", best_effort: "best_effort", best_effort_fifo: "best_effort", least_service: "least_service" } as const;
const WITHIN = { lower_priority: "lower_priority", lower_or_newer_equal: "lower_or_newer_equal", never: "never" } as const;
/** Names of quota fields there and here. */
const QUOTAS: Readonly<Record<string, "nominal" | "borrowLimit" | "lendLimit" | "limit" | "guarantee">> = {
  nominal: "nominal",
  borrow_limit: "borrowLimit",
  lend_limit: "lendLimit",
  limit: "limit",
  max: "limit",
  guarantee: "guarantee",
  hard_guarantee: "guarantee",
};
const QUEUE_FIELDS = [...Object.keys(QUOTAS), "weight", "parent", "cohort", "children", "order", "reclaim", "reclaim_policy", "within_queue", "paused"];

/** Queues, and the cohorts, departments or tree that they are below. Cases without queues have one, `q`, that may use everything. */
export function readQueues(fields: Fields, path: string): Record<string, ScenarioQueue> {
  const queues: Record<string, ScenarioQueue> = {};
  const parents = new Map<string, string>();
  for (const part of ["tree", "departments", "cohorts", "queues"] as const) {
    for (const [id, given] of Object.entries(fieldsOf(fields[part], `${path}.${part}`))) {
      const at = `${path}.${part}.${id}`;
      const queue = fieldsOf(given, at);
      only(queue, QUEUE_FIELDS, at);
      queues[id] = { ...queues[id], ...readQueue(queue, at) };
      for (const child of namesOf(queue.children, `${at}.children`)) parents.set(child, id);
      const parent = queue.parent ?? queue.cohort ?? (part === "queues" ? fields.cohort : undefined);
      if (parent !== undefined) parents.set(id, textOf(parent, `${at}.parent`));
    }
  }
  for (const [id, parent] of parents) {
    queues[parent] ??= {};
    queues[id] = { ...queues[id], parent };
  }
  return Object.keys(queues).length === 0 ? { q: {} } : queues;
}

function readQueue(fields: Fields, path: string): ScenarioQueue {
  const queue: ScenarioQueue = {};
  for (const [name, field] of Object.entries(QUOTAS)) if (fields[name] !== undefined) queue[field] = quotaOf(fields[name], `${path}.${name}`);
  if (fields.weight !== undefined) queue.weight = numberOf(fields.weight, `${path}.weight`);
  if (fields.order !== undefined) queue.order = choice(ORDER, fields.order, `${path}.order`);
  const reclaim = fields.reclaim_policy ?? fields.reclaim;
  if (reclaim !== undefined) queue.reclaim = choice(RECLAIM, reclaim, `${path}.reclaim_policy`);
  if (fields.within_queue !== undefined) queue.withinQueue = choice(WITHIN, fields.within_queue, `${path}.within_queue`);
  if (fields.paused !== undefined) queue.paused = fields.paused === true;
  return queue;
}

/** Pools in the order in which jobs try them, where the case has such an order. */
export function poolOrder(fields: Fields, path: string): string[] {
  return namesOf(fields.flavours_in_order ?? fields.pools_in_order, `${path}.flavours_in_order`);
}

const OWNERSHIP = { owned: "owned", leased: "leased", cloud: "cloud" } as const;
const POOL_FIELDS = ["ownership", "price", "lease_end", "power_budget", "device_power"];

/** What is known of pools: whose they are, what they cost, how long they last, and what power they may draw. */
export function readPools(value: unknown, path: string): Record<string, ScenarioPool> {
  const pools: Record<string, ScenarioPool> = {};
  for (const [id, given] of Object.entries(fieldsOf(value, path))) {
    const at = `${path}.${id}`;
    const fields = fieldsOf(given, at);
    only(fields, POOL_FIELDS, at);
    const { ownership, price, lease_end: leaseEnd, power_budget: powerBudget, device_power: devicePower } = fields;
    pools[id] = {
      ...(ownership !== undefined && { ownership: choice(OWNERSHIP, ownership, `${at}.ownership`) }),
      ...(price !== undefined && { price: numberOf(price, `${at}.price`) }),
      ...(leaseEnd !== undefined && { leaseEnd: secondsOf(leaseEnd, `${at}.lease_end`) }),
      ...(powerBudget !== undefined && { powerBudget: numberOf(powerBudget, `${at}.power_budget`) }),
      ...(devicePower !== undefined && { devicePower: numberOf(devicePower, `${at}.device_power`) }),
    };
  }
  return pools;
}

/** Maintenance, or reservations for some jobs or queues. */
export function readWindows(value: unknown, path: string): Record<string, ScenarioWindow> {
  const windows: Record<string, ScenarioWindow> = {};
  for (const [id, given] of Object.entries(fieldsOf(value, path))) {
    const at = `${path}.${id}`;
    const fields = fieldsOf(given, at);
    only(fields, ["nodes", "start", "end", "jobs", "queues"], at);
    windows[id] = {
      nodes: namesOf(fields.nodes, `${at}.nodes`),
      start: secondsOf(fields.start, `${at}.start`),
      end: secondsOf(fields.end, `${at}.end`),
      ...(fields.jobs !== undefined && { jobs: namesOf(fields.jobs, `${at}.jobs`) }),
      ...(fields.queues !== undefined && { queues: namesOf(fields.queues, `${at}.queues`) }),
    };
  }
  return windows;
}
