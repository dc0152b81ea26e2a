import type { ClusterChange } from "@muster/model";
import type { ClusterChange as EngineChange, JobInput, NodeInput, PoolInput, WindowInput } from "@muster/placement";
import { fabricOf, queueInput, type QueueRow, type NodeRow, type PoolRow, type SchedulingJobRow, type SpecInput, type WindowRow } from "@muster/store";

/* Rows of the store → what the placement engine takes; specs and queues are turned by the store for the API too. Pure. */

/** The reason that a submission gives for `not_before`. */
export const START_AFTER = "start_after";
const DEFAULT_FABRIC_LEVELS = ["zone", "spine", "leaf", "domain"];

export function poolInput(row: PoolRow): PoolInput {
  const { ownership, price_per_device_hour: price, lease_end: leaseEnd, power_budget_watts: powerBudget, device_power_watts: devicePower } = row.spec;
  return {
    id: row.name,
    ...(ownership && { ownership }),
    ...(price && { price }),
    ...(leaseEnd && { leaseEnd: Date.parse(leaseEnd) }),
    ...(powerBudget !== undefined && { powerBudget }),
    ...(devicePower !== undefined && { devicePower }),
  };
}

/** The nodes that a window is about, as registered now, in the order of their names. */
export function windowInput(row: WindowRow, nodes: Iterable<NodeRow>): WindowInput {
  const { pool, block, jobs, queues } = row.spec;
  const named = new Set(row.spec.nodes);
  const about: string[] = [];
  for (const node of nodes) {
    if (named.has(node.name) || (node.pool === pool && block.every((part, level) => node.fabric[level] === part))) about.push(node.name);
  }
  return {
    id: row.name,
    nodes: about.sort(),
    start: row.starts_at,
    end: row.ends_at,
    ...(jobs.length > 0 && { jobs }),
    ...(queues.length > 0 && { queues }),
  };
}

/** Something on a node that no current attempt explains, such as a worker of an old attempt that nobody could confirm dead. */
export interface Leftover {
  node: string;
  devices: readonly number[];
  share: number;
  cpus: number;
  memory: number;
}

export function nodeInput(row: NodeRow, pool: PoolRow, leftovers: readonly Leftover[]): NodeInput {
  const schedulable = row.schedulable && row.reachable;
  const heldDevices = Array.from({ length: row.devices }, () => 0);
  let heldCpuMillis = 0;
  let heldMemoryBytes = 0;
  for (const left of leftovers) {
    for (const device of left.devices) if (device < row.devices) heldDevices[device] = Math.min(1000, (heldDevices[device] ?? 0) + left.share);
    heldCpuMillis += left.cpus;
    heldMemoryBytes += left.memory;
  }
  return {
    id: row.name,
    pool: row.pool,
    accelerator: pool.accelerator,
    devices: row.devices,
    cpuMillis: row.cpus,
    memoryBytes: row.memory,
    fabric: fabricOf(row.fabric, pool.spec.fabric_levels ?? DEFAULT_FABRIC_LEVELS),
    schedulable,
    ...(row.health === "probation" && { doubtful: true }),
    ...(!schedulable && { health: row.reachable || !row.schedulable ? [row.health, row.health_reason].filter(Boolean).join(": ") : "unreachable" }),
    ...(leftovers.length > 0 && { heldDevices, heldCpuMillis, heldMemoryBytes }),
  };
}

/** Why a job that nobody holds may not start yet, beside what its row says. */
export interface Gate {
  /** As many elements of its array as may run at once are running. */
  arrayFull?: boolean;
  /** Its last start could not be committed; not again before this. */
  notBefore?: number;
  /** Nodes held back as spares. */
  spares?: readonly string[];
}

/** Whether the scheduler may start it: any other live job is known to the engine, but gated. */
export function isStartable(row: Pick<SchedulingJobRow, "state">): boolean {
  return row.state === "queued";
}

/** Spares are lent to what can be told to go, and there for what comes back. */
export function mayUseSpares(row: Pick<SchedulingJobRow, "state" | "preemptible" | "started_at">): boolean {
  return row.preemptible || (row.state === "queued" && row.started_at !== null);
}

export function jobInput(row: SchedulingJobRow, spec: SpecInput, gate: Gate = {}): JobInput {
  const notBefore = row.not_before?.getTime();
  // a time that a person asked for is a start time; any other is a back-off
  const asked = row.not_before_reason === START_AFTER;
  const backoff = Math.max(asked ? 0 : (notBefore ?? 0), gate.notBefore ?? 0);
  const ran = row.ran_seconds * 1000;
  const excluded = mayUseSpares(row) || !gate.spares?.length ? row.excluded_nodes : [...new Set([...row.excluded_nodes, ...gate.spares])];
  const preferred = row.last_nodes?.filter((node) => !excluded.includes(node)) ?? [];
  return {
    id: row.id,
    queue: row.queue,
    priority: row.priority,
    preemptible: row.preemptible,
    submittedAt: row.submitted_at.getTime(),
    roles: spec.roles,
    variants: spec.variants,
    variantPolicy: spec.variantPolicy,
    jobClass: spec.jobClass,
    ...(row.started_at !== null && row.variant !== null && { stickyVariant: row.variant }),
    ...(spec.segments.length > 0 && { segments: spec.segments }),
    ...(spec.within && { within: spec.within }),
    ...(excluded.length > 0 && { excludedNodes: excluded }),
    ...(preferred.length > 0 && { preferredNodes: [...new Set(preferred)] }),
    ...(spec.parallelism && { parallelism: spec.parallelism }),
    ...(spec.expectedDuration !== undefined && { expectedDuration: Math.max(1000, spec.expectedDuration - ran) }),
    ...(spec.timeLimit !== undefined && { timeLimit: Math.max(1000, spec.timeLimit - ran) }),
    ...(ran > 0 && { ran }),
    ...(asked && notBefore !== undefined && { startAfter: notBefore }),
    ...(backoff > 0 && { backoffUntil: backoff }),
    checkpoint: { ...spec.checkpoint, writes: spec.checkpoint.writes || row.checkpointed_at !== null },
    ...(!isStartable(row) && { held: row.state === "held" || row.state === "suspended" ? "user" : "operator" }),
    ...(row.dependency_never ? { dependency: "never" } : (row.unmet_dependencies > 0 || gate.arrayFull) && { dependency: "waiting" }),
  };
}

/** A changed cluster that a plan is asked for. Throws an Error that names a queue that is not known here yet. */
export function changeInput(change: ClusterChange, queues: ReadonlyMap<string, QueueRow>, pools: Iterable<PoolRow>): EngineChange {
  const models = [...pools];
  return {
    returnNodes: change.return_nodes,
    cordonNodes: change.cordon_nodes,
    addLike: change.add_nodes.map(({ like, count }) => ({ node: like, count })),
    removeJobs: change.without_jobs,
    queues: change.queues.map(({ name, paused, ...amounts }) => {
      const row = queues.get(name);
      if (!row) throw new Error(`queue ${name} is not known here yet`);
      return queueInput({ ...row, paused: paused ?? row.paused, spec: { ...row.spec, ...amounts } }, models);
    }),
  };
}

/** The registered node that an added one is like. */
export function nodeLike(node: string): string {
  return node.split("+", 1)[0]!;
}

/** A stand-in for a job whose spec the engine refuses, so that it is shown with the reason. */
export function refusedInput(input: JobInput, why: string): JobInput {
  return {
    id: input.id,
    queue: input.queue,
    priority: input.priority,
    preemptible: input.preemptible,
    submittedAt: input.submittedAt,
    roles: [{ name: "worker", nodes: { min: 1, max: 1 }, resources: {} }],
    invalid: why,
  };
}
