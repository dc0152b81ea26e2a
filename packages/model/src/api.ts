import { z } from "zod";
import {
  ATTEMPT_STATES,
  DEVICE_VENDORS,
  FAILURE_CLASSES,
  FABRIC_LEVELS,
  JOB_STATES,
  NODE_HEALTH,
  ROLES,
  STOP_TARGETS,
  WAIT_REASONS,
  WORKER_STATES,
} from "./words.ts";
import { kubernetesConfig } from "./kubernetes.ts";
import { jobSpec } from "./spec.ts";
import { duration, name, size } from "./units.ts";

/*
 * What the REST API sends and takes, shared by the server, the client and the dashboard. Times are RFC 3339 UTC, durations
 * seconds, sizes bytes, shares of a device thousandths.
 */

const time = z.iso.datetime();
/** By accelerator model or pool, or of cpus or memory. */
const amounts = z.record(z.string().max(63), z.number().min(0));
const page = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next_cursor: z.string().nullable() });

export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    /** Stable: what programs look at. */
    code: z.string(),
    detail: z.string(),
    instance: z.string().optional(),
    request_id: z.string().optional(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: "Problem", description: "RFC 9457 problem details" });

export const progressView = z.object({
  attempt: z.int(),
  step: z.int().nullable(),
  total: z.int().nullable(),
  loss: z.number().nullable(),
  /** Steps a second, or whatever the job reports. */
  rate: z.number().nullable(),
  phase: z.string().nullable(),
  at: time,
});

export const failureView = z.object({
  class: z.enum(FAILURE_CLASSES),
  rule: z.string(),
  message: z.string(),
  worker: z.string().nullable(),
  node: z.string().nullable(),
  exit_code: z.int().nullable(),
  signal: z.string().nullable(),
  evidence: z.array(z.string()),
});

/** What a job's time and steps went into; null until it has started once, and in lists. */
export const accountingView = z
  .object({
    ettr: z.number().nullable().describe("productive time over wall time since the first start"),
    goodput: z.number().nullable().describe("steps kept over steps done"),
    steps: z.object({ done: z.int(), kept: z.int() }),
    productive_seconds: z.number(),
    wall_seconds: z.number(),
    wasted_device_hours: z.record(z.string(), z.number()).describe("by what caused it; start is the first start"),
  })
  .meta({ id: "Accounting" });

/** What checkpoints cost a job, and how often it should make one. */
export const checkpointingView = z
  .object({
    interval_seconds: z.number().nullable().describe("checkpoint.interval of the job; null: it doesn't say"),
    suggested_interval_seconds: z
      .number()
      .describe("at which least time is lost, by Young (1974) and Daly (2006): the root of twice the cost times the mean time between failures"),
    cost_seconds: z.number().describe("by which steps with a commit among them took longer than others; the median of the last ones"),
    measured: z.int().describe("commits that this was measured on, at most 10"),
    mean_time_to_failure_seconds: z
      .number()
      .describe("of the job, from failures of its pool's nodes within 28 days; what is published counts as 100 node-days"),
  })
  .meta({ id: "Checkpointing" });

export const jobView = z
  .object({
    id: z.string(),
    name: z.string(),
    project: z.string(),
    queue: z.string(),
    submitter: z.string(),
    labels: z.record(z.string(), z.string()),
    description: z.string().nullable(),
    priority: z.string(),
    preemptible: z.boolean(),
    array: z.object({ id: z.string(), index: z.int() }).nullable(),
    nodes: z.int(),
    devices: z.int(),
    state: z.enum(JOB_STATES),
    state_since: time,
    stopping: z.object({ target: z.enum(STOP_TARGETS), reason: z.string() }).nullable(),
    conditions: z.array(z.string()),
    /** Workers up of workers in all, of the current attempt. */
    workers: z.object({ running: z.int(), total: z.int() }).nullable(),
    attempt: z.int(),
    variant: z.int().nullable(),
    pools: z.array(z.string()),
    wait_reason: z.enum(WAIT_REASONS).nullable(),
    not_before: time.nullable(),
    progress: progressView.nullable(),
    latest_checkpoint: z.object({ step: z.int(), attempt: z.int(), at: time, path: z.string() }).nullable(),
    restarts: z.object({ user: z.int(), infrastructure: z.int(), unknown: z.int(), max_user: z.int() }),
    failure: failureView.nullable(),
    submitted_at: time,
    started_at: time.nullable(),
    finished_at: time.nullable(),
    run_seconds: z.number(),
    accounting: accountingView.nullish(),
    checkpointing: checkpointingView.nullish().describe("null before a checkpoint's cost was measured, and in lists"),
    version: z.int(),
  })
  .meta({ id: "Job" });
export type JobView = z.output<typeof jobView>;

export const jobPage = page(jobView);
export const jobSummary = z.object({ groups: z.array(z.object({ key: z.record(z.string(), z.string().nullable()), jobs: z.int(), devices: z.int() })) });

export const jobListQuery = z.object({
  state: z.string().optional().describe("one or more states, joined by commas"),
  queue: z.string().optional(),
  project: z.string().optional(),
  submitter: z.string().optional(),
  name: z.string().optional().describe("a prefix of the name"),
  label: z.string().optional().describe("key=value, several joined by commas"),
  reason: z.enum(WAIT_REASONS).optional(),
  array: z.string().optional(),
  node: z.string().optional().describe("jobs with a worker on this node now"),
  active: z.stringbool().optional().describe("only jobs not finished (true) or finished (false)"),
  submitted_since: z.iso.datetime({ offset: true }).optional(),
  sort: z.enum(["-submitted_at", "submitted_at"]).default("-submitted_at"),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  cursor: z.string().max(512).optional(),
});

export const attemptView = z
  .object({
    job: z.string(),
    number: z.int(),
    incarnation: z.string(),
    state: z.enum(ATTEMPT_STATES),
    variant: z.int(),
    workers: z.int(),
    nodes: z.array(z.string()),
    resume_reason: z.string().nullable(),
    resumed_from_step: z.int().nullable(),
    scheduled_at: time,
    starting_at: time.nullable(),
    started_at: time.nullable(),
    first_progress_at: time.nullable(),
    stopping_at: time.nullable(),
    ended_at: time.nullable(),
    outcome: z.enum(["succeeded", "failed", "stopped", "superseded"]).nullable(),
    failure: failureView.nullable(),
    first_step: z.int().nullable(),
    last_step: z.int().nullable(),
  })
  .meta({ id: "Attempt" });
export type AttemptView = z.output<typeof attemptView>;

export const workerView = z
  .object({
    job: z.string(),
    attempt: z.int(),
    worker: z.string(),
    role: z.string(),
    node_rank: z.int(),
    first_rank: z.int(),
    ranks: z.int(),
    node: z.string(),
    devices: z.array(z.int()),
    share: z.int(),
    state: z.enum(WORKER_STATES),
    desired: z.enum(["run", "stop", "kill"]),
    exit_code: z.int().nullable(),
    signal: z.string().nullable(),
    oom: z.boolean(),
    reason: z.string().nullable(),
    started_at: time.nullable(),
    ended_at: time.nullable(),
    log_size: z.int(),
  })
  .meta({ id: "Worker" });
export type WorkerView = z.output<typeof workerView>;

export const checkpointView = z
  .object({
    id: z.int(),
    job: z.string(),
    attempt: z.int(),
    generation: z.int(),
    step: z.int(),
    path: z.string(),
    sealed_path: z.string().nullable(),
    accepted_at: time,
    sealed_at: time.nullable(),
    seal_error: z.string().nullable(),
    pruned: z.boolean(),
  })
  .meta({ id: "Checkpoint" });
export const commitBody = z.strictObject({ step: z.int().min(0), path: z.string().min(1).max(4096), generation: z.int().min(0).default(0) });

export const eventView = z
  .object({
    /** Position in the feed, for `Last-Event-ID` and cursors. */
    id: z.string(),
    at: time,
    kind: z.string(),
    actor: z.string(),
    project: z.string().nullable(),
    job: z.string().nullable(),
    attempt: z.int().nullable(),
    node: z.string().nullable(),
    queue: z.string().nullable(),
    pool: z.string().nullable(),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "Event" });
export type EventView = z.output<typeof eventView>;

/** Why a job waits: one dominant reason with the numbers it was judged on. */
export const explainView = z
  .object({
    job: z.string(),
    state: z.enum(JOB_STATES),
    reason: z.enum(WAIT_REASONS).nullable(),
    /** One sentence for people. */
    message: z.string(),
    since: time.nullable(),
    evaluated_at: time,
    need: z.array(
      z.object({
        variant: z.int(),
        role: z.string(),
        nodes: z.int(),
        accelerator: z.string().nullable(),
        pool: z.string().nullable(),
        accelerators_per_node: z.int(),
        share: z.int(),
        cpus: z.number(),
        memory: z.number(),
      }),
    ),
    free: z.array(
      z.object({
        pool: z.string(),
        accelerator: z.string(),
        devices: z.number(),
        whole_nodes: z.int(),
        largest_gang: z.array(z.object({ segment: z.int(), nodes: z.int() })),
      }),
    ),
    filtered: z.array(z.object({ why: z.string(), count: z.int(), sample_nodes: z.array(z.string()) })),
    ahead: z.object({ count: z.int(), devices: z.int(), top: z.array(z.string()) }),
    would_fit_if: z.array(z.string()),
    next_step: z.string(),
    eta: z.object({ p50: time, p90: time, basis: z.string() }).nullable(),
  })
  .meta({ id: "Explanation" });
export type ExplainView = z.output<typeof explainView>;

export const planView = z
  .object({
    fits_now: z.boolean(),
    /** Whether it could run with every registered node healthy and empty and every limit unused. */
    could_ever_run: z.boolean(),
    resolved: z.unknown(),
    placement: z
      .object({ variant: z.int(), pool: z.array(z.string()), workers: z.array(z.object({ worker: z.string(), node: z.string(), devices: z.array(z.int()) })) })
      .nullable(),
    explanation: explainView.omit({ job: true, state: true }).nullable(),
  })
  .meta({ id: "Plan" });
export type PlanView = z.output<typeof planView>;

/** A cluster that a plan is made for, as a change of the one there is. */
export const clusterChange = z
  .strictObject({
    /** Nodes that take work again, whatever keeps it from them now, and nodes that take none. */
    return_nodes: z.array(name).max(20_000).default([]),
    cordon_nodes: z.array(name).max(20_000).default([]),
    /** So many more nodes like one that there is, beside it in the fabric. */
    add_nodes: z
      .array(z.strictObject({ like: name, count: z.int().min(1).max(1000) }))
      .max(16)
      .default([]),
    /** Jobs by id that have ended, or were never submitted. */
    without_jobs: z.array(z.string().min(1).max(128)).max(1000).default([]),
    /** Queues with other quotas, or paused or not; what is left out stays as it is. */
    queues: z
      .array(
        z.strictObject({
          name,
          nominal: amounts.optional(),
          borrow_limit: amounts.optional(),
          lend_limit: amounts.optional(),
          limit: amounts.optional(),
          guarantee: amounts.optional(),
          paused: z.boolean().optional(),
        }),
      )
      .max(100)
      .default([]),
  })
  .meta({ id: "ClusterChange" });
export type ClusterChange = z.output<typeof clusterChange>;
export type AskedClusterChange = z.input<typeof clusterChange>;

/** A job as it would be submitted, and the cluster that it is planned for where that is another. */
export const planRequest = jobSpec.extend({ cluster: clusterChange.optional() }).meta({ id: "PlanRequest" });

export const nodeView = z
  .object({
    name: z.string(),
    pool: z.string(),
    shard: z.string(),
    vendor: z.enum(DEVICE_VENDORS),
    accelerator: z.string(),
    fabric: z.array(z.string()),
    address: z.string(),
    devices: z.int(),
    /** Thousandths held of each device. */
    held: z.array(z.int()),
    cpus: z.number(),
    cpus_held: z.number(),
    memory: z.number(),
    memory_held: z.number(),
    labels: z.record(z.string(), z.string()),
    health: z.enum(NODE_HEALTH),
    health_reason: z.string().nullable(),
    health_actor: z.string().nullable(),
    health_since: time,
    drain_deadline: time.nullable(),
    schedulable: z.boolean(),
    reachable: z.boolean(),
    last_seen: time.nullable(),
    jobs: z.array(z.string()),
    spare: z.boolean().optional().describe("held back from work that isn't preemptible"),
    faults: z
      .object({ score: z.number(), episodes: z.int(), since_repair: z.number(), repairs: z.int() })
      .nullish()
      .describe("of its own within 28 days, warnings counted half, and repairs; null: none"),
    version: z.int(),
  })
  .meta({ id: "Node" });
export type NodeView = z.output<typeof nodeView>;
export const nodePage = page(nodeView);

const labels = z.record(z.string().min(1).max(128), z.string().max(256));

/* Declarative things: PUT with ?dry_run=true, and the documents of `muster apply -f` (with `kind`). */

export const poolSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("pool").default("pool"),
    name,
    engine: z.enum(["local", "simulated", "kubernetes"]).default("local"),
    vendor: z.enum(DEVICE_VENDORS),
    accelerator: name,
    site: name.default("here"),
    /** The site's fabric levels, outermost first, each mapped onto the ladder of job specs. */
    fabric_levels: z.array(z.enum(FABRIC_LEVELS)).max(8).default(["zone", "spine", "leaf", "domain"]),
    ownership: z.enum(["owned", "leased", "cloud"]).default("owned"),
    price_per_device_hour: z.number().min(0).default(0),
    lease_end: z.iso.datetime({ offset: true }).optional(),
    /** Watts that the pool may draw, and what one busy device draws; together they bound the devices in use at a time. */
    power_budget_watts: z.number().min(0).optional(),
    spares: z
      .union([z.literal("auto"), z.int().min(0).max(100_000)])
      .default(0)
      .describe("nodes held back from work that isn't preemptible and comes from no fault; auto: as many as its failures and repairs call for"),
    device_power_watts: z.number().gt(0).optional(),
    runtime: z.strictObject({ image: z.string().max(512).optional(), env: z.record(z.string(), z.string()).default({}) }).prefault({}),
    labels: labels.default({}),
  })
  .meta({ id: "PoolSpec" });

export const nodeSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("node").default("node"),
    name,
    pool: name,
    /** The agent or cluster that keeps it; by default one named like the pool. */
    shard: name.optional(),
    fabric: z.array(name).max(8).default([]),
    devices: z.int().min(0).max(1024),
    device_memory: size.default(0),
    cpus: z.number().min(0).max(4096),
    memory: size,
    address: z.union([z.ipv4(), z.ipv6(), z.hostname()]).default("127.0.0.1"),
    labels: labels.default({}),
  })
  .meta({ id: "NodeSpec" });

export const queueSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("queue").default("queue"),
    name,
    parent: name.optional(),
    /** Who may submit to it; ["*"] is every project. */
    projects: z.array(z.union([z.literal("*"), name])).default([]),
    /** Devices by accelerator model or pool; absent: no quota of its own, and no limit. */
    nominal: amounts.optional(),
    borrow_limit: amounts.optional(),
    lend_limit: amounts.optional(),
    /** Most that it may ever use, also where no nominal is set. */
    limit: amounts.optional(),
    /** What others never take back of it, if more than nominal. */
    guarantee: amounts.optional(),
    /** Whom it may evict in other queues to get its own back; by default any_priority. */
    reclaim: z.enum(["any_priority", "lower_priority", "never"]).optional(),
    /** Whom its jobs may evict within it; by default lower_priority. */
    within_queue: z.enum(["lower_priority", "lower_or_newer_equal", "never"]).optional(),
    weight: z.number().gt(0).default(1),
    order: z.enum(["best_effort", "strict", "least_service"]).default("best_effort"),
    paused: z.boolean().default(false),
  })
  .meta({ id: "QueueSpec" });

/** Nodes kept free for a time. Without `jobs` and `queues` it is maintenance, with them a reservation for these. */
export const windowSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("window").default("window"),
    name,
    /** Nodes by name, all of a pool, or those of a pool in one block of its fabric, named from the outermost level inwards. */
    nodes: z.array(name).max(20_000).default([]),
    pool: name.optional(),
    block: z.array(name).max(8).default([]),
    start: z.iso.datetime({ offset: true }),
    end: z.iso.datetime({ offset: true }),
    jobs: z.array(z.string().min(1).max(128)).max(1000).default([]),
    queues: z.array(name).max(1000).default([]),
    reason: z.string().max(1024).default(""),
  })
  .meta({ id: "WindowSpec" });

export const projectSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("project").default("project"),
    name,
    description: z.string().max(1024).default(""),
    members: z.record(z.string().min(1).max(128), z.enum(ROLES)).default({}),
  })
  .meta({ id: "ProjectSpec" });

/** A cluster elsewhere. The agents of the local engine are shards of their own, which nobody declares. */
export const shardSpec = z
  .strictObject({
    version: z.literal(1).default(1),
    kind: z.literal("shard").default("shard"),
    name,
    engine: z.literal("kubernetes").default("kubernetes"),
    config: kubernetesConfig,
  })
  .meta({ id: "ShardSpec" });

export const applyDocument = z.discriminatedUnion("kind", [
  poolSpec.extend({ kind: z.literal("pool") }),
  nodeSpec.extend({ kind: z.literal("node") }),
  queueSpec.extend({ kind: z.literal("queue") }),
  projectSpec.extend({ kind: z.literal("project") }),
  windowSpec.extend({ kind: z.literal("window") }),
  shardSpec.extend({ kind: z.literal("shard") }),
]);

export type PoolSpec = z.output<typeof poolSpec>;
export type NodeSpec = z.output<typeof nodeSpec>;
export type QueueSpec = z.output<typeof queueSpec>;
export type ProjectSpec = z.output<typeof projectSpec>;
export type WindowSpec = z.output<typeof windowSpec>;
export type ShardSpec = z.output<typeof shardSpec>;

const counted = z.object({ total: z.int(), healthy: z.int(), schedulable: z.int(), held: z.number() });
export const poolView = poolSpec
  .extend({
    version: z.int(),
    nodes: z.object({ total: z.int(), healthy: z.int(), schedulable: z.int() }),
    devices: counted,
    running_jobs: z.int(),
    largest_gang: z.array(z.object({ segment: z.int(), nodes: z.int() })),
    spare_state: z
      .object({
        held_back: z.int().describe("now"),
        lent: z.int().describe("of those, with preemptible work on them"),
        advised: z.int().describe("the 99th percentile of the binomial distribution: of 100 such times of replenishment, one needs more"),
        nodes: z.int(),
        failures: z.int().describe("within node_days"),
        node_days: z.number(),
        daily_rate: z.number().describe("failures of one node in a day; what is published counts as 100 node-days"),
        repairs: z.int().describe("nodes that came back"),
        replenish_days: z.number().describe("until a node that failed is back; what is published counts as three repairs"),
      })
      .optional(),
  })
  .meta({ id: "Pool" });
export type PoolView = z.output<typeof poolView>;
export const queueView = queueSpec
  .extend({ version: z.int(), waiting: z.object({ jobs: z.int(), devices: z.int() }), active: z.object({ jobs: z.int(), devices: z.int() }) })
  .meta({ id: "Queue" });
export type QueueView = z.output<typeof queueView>;
export const windowView = windowSpec.extend({ version: z.int(), state: z.enum(["coming", "open", "over"]), node_count: z.int() }).meta({ id: "Window" });
export const shardView = shardSpec
  .extend({
    version: z.int(),
    /** As it was put, with defaults filled in. */
    config: z.record(z.string(), z.unknown()),
    reachable: z.boolean(),
    last_seen: time.nullable(),
    node_count: z.int(),
  })
  .meta({ id: "Shard" });
export type ShardView = z.output<typeof shardView>;
export type WindowView = z.output<typeof windowView>;
export const projectView = projectSpec.extend({ version: z.int() }).meta({ id: "Project" });
export type ProjectView = z.output<typeof projectView>;

export const actionBody = z.strictObject({ reason: z.string().max(1024).default("") }).prefault({});
export const drainBody = z.strictObject({ reason: z.string().min(1).max(1024), deadline: duration.default(3600) });
export const cordonBody = z.strictObject({ reason: z.string().min(1).max(1024) });
export const updateJobBody = z.strictObject({ priority: name.optional() }).refine((body) => Object.keys(body).length > 0, "expected at least one of: priority");
export const nodeHealthBody = z.strictObject({
  status: z.enum(["ok", "warning", "fatal"]),
  check: z.string().min(1).max(128),
  message: z.string().max(4096).default(""),
});

export const tokenBody = z.strictObject({
  subject: z.string().min(1).max(128),
  project: name.nullable().default(null),
  role: z.enum(ROLES),
  description: z.string().max(256).default(""),
  expires_in: duration.optional(),
});
export const tokenView = z
  .object({
    id: z.string(),
    subject: z.string(),
    project: z.string().nullable(),
    role: z.enum(ROLES),
    description: z.string(),
    created_at: time,
    expires_at: time.nullable(),
    last_used_at: time.nullable(),
  })
  .meta({ id: "Token" });

export const incidentView = z
  .object({
    id: z.string(),
    kind: z.string(),
    severity: z.enum(["info", "warning", "critical"]),
    opened_at: time,
    closed_at: time.nullable(),
    project: z.string().nullable(),
    job: z.string().nullable(),
    attempt: z.int().nullable(),
    node: z.string().nullable(),
    evidence: z.array(z.string()),
    class: z.string().nullable(),
    rule: z.string().nullable(),
    action: z.string().nullable(),
    cost: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "Incident" });
export type IncidentView = z.output<typeof incidentView>;

export const overviewView = z
  .object({
    as_of: time,
    jobs: z.record(z.string(), z.int()),
    waiting: z.object({ jobs: z.int(), devices: z.int(), oldest_since: time.nullable(), by_reason: z.record(z.string(), z.int()) }),
    pools: z.array(poolView),
    broken_nodes: z.array(z.object({ name: z.string(), pool: z.string(), health: z.enum(NODE_HEALTH), reason: z.string().nullable(), since: time })),
    open_incidents: z.array(incidentView),
    failures_24h: z.record(z.string(), z.int()),
    ettr_7d: z.number().nullable().optional().describe("productive time over wall time, by devices, of jobs that ran within 7 days"),
    top_jobs: z.array(jobView),
    control_plane: z.object({
      scheduler: z.object({ leader: z.string().nullable(), cycle_ms: z.number().nullable(), lag_ms: z.number().nullable() }),
      shards: z.array(z.object({ name: z.string(), reachable: z.boolean(), last_seen: time.nullable() })),
      incarnation: z.string(),
      starts_paused: z.string().nullable(),
      brake: z.object({ incident: z.string(), since: time }).nullish().describe("since when no node is declared lost, as many fell silent at once"),
    }),
  })
  .meta({ id: "Overview" });
export type OverviewView = z.output<typeof overviewView>;

export const meView = z
  .object({ subject: z.string(), project: z.string().nullable(), role: z.enum(ROLES), projects: z.record(z.string(), z.enum(ROLES)) })
  .meta({ id: "Me" });
