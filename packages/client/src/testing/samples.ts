import type { AttemptView, ClusterView, EventView, ExplainView, JobView, NodeView, PlanView, PoolView, QueueView, WindowView, WorkerView } from "@muster/model";

/* Whole views with likely content, for tests; each takes what is to differ. */

export const JOB_ID = "job_01k5zq3v8h0000000000000000";
const TIME = "2026-03-01T10:00:00.000Z";

export function sampleJob(change: Partial<JobView> = {}): JobView {
  return {
    id: JOB_ID,
    name: "train",
    project: "default",
    queue: "default",
    submitter: "anna",
    labels: {},
    description: null,
    priority: "normal",
    preemptible: true,
    array: null,
    nodes: 2,
    devices: 4,
    state: "running",
    state_since: "2026-03-01T10:00:10.000Z",
    stopping: null,
    conditions: [],
    workers: { running: 2, total: 2 },
    attempt: 1,
    variant: 0,
    pools: ["alpha"],
    wait_reason: null,
    not_before: null,
    progress: { attempt: 1, step: 120, total: 1000, loss: 2.5, rate: 3.5, phase: null, at: "2026-03-01T10:05:00.000Z" },
    latest_checkpoint: { step: 100, attempt: 1, at: "2026-03-01T10:04:00.000Z", path: "/ckpt/committed/100-1" },
    restarts: { user: 0, infrastructure: 1, unknown: 0, max_user: 3 },
    failure: null,
    submitted_at: TIME,
    started_at: "2026-03-01T10:00:10.000Z",
    finished_at: null,
    run_seconds: 300,
    version: 7,
    ...change,
  };
}

export function sampleAttempt(change: Partial<AttemptView> = {}): AttemptView {
  return {
    job: JOB_ID,
    number: 1,
    incarnation: "1-abc",
    state: "running",
    variant: 0,
    workers: 2,
    nodes: ["alpha-1", "alpha-2"],
    resume_reason: null,
    resumed_from_step: null,
    scheduled_at: "2026-03-01T10:00:02.000Z",
    starting_at: "2026-03-01T10:00:03.000Z",
    started_at: "2026-03-01T10:00:10.000Z",
    first_progress_at: "2026-03-01T10:00:20.000Z",
    stopping_at: null,
    ended_at: null,
    outcome: null,
    failure: null,
    first_step: 1,
    last_step: 120,
    ...change,
  };
}

export function sampleWorker(change: Partial<WorkerView> = {}): WorkerView {
  return {
    job: JOB_ID,
    attempt: 1,
    worker: "worker-0",
    role: "worker",
    node_rank: 0,
    first_rank: 0,
    ranks: 2,
    node: "alpha-1",
    devices: [0, 1],
    share: 1000,
    state: "running",
    desired: "run",
    exit_code: null,
    signal: null,
    oom: false,
    reason: null,
    started_at: "2026-03-01T10:00:05.000Z",
    ended_at: null,
    log_size: 100,
    ...change,
  };
}

export function sampleEvent(change: Partial<EventView> = {}): EventView {
  return {
    id: "1",
    at: TIME,
    kind: "job.submitted",
    actor: "anna",
    project: "default",
    job: JOB_ID,
    attempt: null,
    node: null,
    queue: "default",
    pool: null,
    data: {},
    ...change,
  };
}

export function sampleExplanation(change: Partial<ExplainView> = {}): ExplainView {
  return {
    job: JOB_ID,
    state: "queued",
    reason: "insufficient_capacity",
    message: "needs 4 a100 on 2 nodes; 3 are free",
    since: TIME,
    evaluated_at: "2026-03-01T10:04:58.000Z",
    need: [{ variant: 0, role: "worker", nodes: 2, accelerator: "a100", pool: null, accelerators_per_node: 2, share: 0, cpus: 1, memory: 1 << 30 }],
    free: [{ pool: "alpha", accelerator: "a100", devices: 3, whole_nodes: 0, largest_gang: [{ segment: 2, nodes: 1 }] }],
    filtered: [{ why: "cordoned", count: 1, sample_nodes: ["alpha-3"] }],
    blocks: [],
    ahead: { count: 2, devices: 8, top: ["big", "other"] },
    would_fit_if: ["node alpha-3 returns"],
    next_step: "Wait, or uncordon alpha-3.",
    eta: { p50: "2026-03-01T10:10:00.000Z", p90: "2026-03-01T10:30:00.000Z", basis: "run times asked for" },
    ...change,
  };
}

export function samplePlan(change: Partial<PlanView> = {}): PlanView {
  return {
    fits_now: true,
    could_ever_run: true,
    resolved: {},
    placement: { variant: 0, pool: ["alpha"], workers: [{ worker: "worker-0", node: "alpha-1", devices: [0, 1] }] },
    explanation: null,
    gives_way: { count: 0, jobs: [] },
    ...change,
  };
}

export function sampleNode(change: Partial<NodeView> = {}): NodeView {
  return {
    name: "alpha-1",
    pool: "alpha",
    shard: "alpha",
    vendor: "nvidia",
    accelerator: "a100",
    fabric: ["z1", "s1", "l1"],
    address: "127.0.0.1",
    devices: 4,
    held: [1000, 1000, 500, 0],
    cpus: 8,
    cpus_held: 2,
    memory: 2 ** 34,
    memory_held: 2 ** 31,
    labels: {},
    health: "ready",
    health_reason: null,
    health_actor: null,
    health_since: TIME,
    drain_deadline: null,
    schedulable: true,
    reachable: true,
    last_seen: TIME,
    jobs: ["train"],
    version: 1,
    ...change,
  };
}

export function samplePool(change: Partial<PoolView> = {}): PoolView {
  return {
    version: 1,
    kind: "pool",
    name: "alpha",
    engine: "local",
    vendor: "nvidia",
    accelerator: "a100",
    site: "here",
    fabric_levels: ["zone", "spine", "leaf", "domain"],
    ownership: "owned",
    spares: 0,
    price_per_device_hour: 0,
    runtime: { env: {} },
    labels: {},
    nodes: { total: 2, healthy: 2, schedulable: 1 },
    devices: { total: 8, healthy: 8, schedulable: 4, held: 2.5 },
    running_jobs: 1,
    largest_gang: [
      { segment: 8, nodes: 0 },
      { segment: 2, nodes: 1 },
    ],
    ...change,
  };
}

export function sampleQueue(change: Partial<QueueView> = {}): QueueView {
  return {
    version: 1,
    kind: "queue",
    name: "default",
    projects: ["*"],
    weight: 1,
    order: "best_effort",
    paused: false,
    waiting: { jobs: 3, devices: 12 },
    active: { jobs: 1, devices: 4 },
    ...change,
  };
}

export function sampleWindow(change: Partial<WindowView> = {}): WindowView {
  return {
    version: 1,
    kind: "window",
    name: "leaf-7",
    nodes: [],
    pool: "alpha",
    block: ["spine-1", "leaf-7"],
    start: "2026-03-02T08:00:00.000Z",
    end: "2026-03-02T10:00:00.000Z",
    jobs: [],
    queues: [],
    reason: "new optics",
    state: "coming",
    node_count: 16,
    ...change,
  };
}

export function sampleCluster(change: Partial<ClusterView> = {}): ClusterView {
  return {
    id: "0b5c3f0e-6c55-4d0a-9a3b-5d2f3a1c9e10",
    incarnation: "1800000000000000",
    starts_paused: false,
    starts_paused_reason: null,
    brake: null,
    settings: {
      placement: {
        protected_runtime: 600,
        reclaim: "fair_share",
        fair_share_margin: 0.001,
        unassigned_capacity: "borrowable",
        usage_half_life: 0,
        backfill: "dated",
        reservations: 8,
        consolidation: true,
        max_cross_zone_jobs: null,
      },
      priorities: { low: -100, normal: 0, high: 100, critical: 1000 },
      retention: { jobs: 15_552_000, events: 7_776_000, logs: 15_552_000, logs_total: 2 ** 40 },
      rules: [{ id: "our-fabric", match: { log: "link down" }, action: "exclude_node" }],
      silence: { suspect_after: 20, lost_after: 90, brake_fraction: 0.2, brake_nodes: 5, brake_release: 600 },
      nodes: { quarantine: 0.1, lemon_score: 3, retire_after: 3 },
    },
    declared: {
      placement: { protected_runtime: 600 },
      retention: { logs_total: 2 ** 40 },
      rules: [{ id: "our-fabric", match: { log: "link down" }, action: "exclude_node" }],
      silence: { lost_after: 90 },
    },
    version: 3,
    ...change,
  };
}
