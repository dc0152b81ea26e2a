import type { FabricLevel } from "../cluster-input.ts";
import type { WaitReason } from "../explanation.ts";
import type { Policy } from "../policy.ts";
import type { ReclaimPolicy, WithinQueuePolicy } from "../queue-input.ts";

/** Amounts in whole units: devices, cores. */
export interface Amounts {
  gpu?: number;
  cpu?: number;
}

export interface ScenarioNode extends Amounts {
  pool?: string;
  accelerator?: string;
  /** Blocks by fabric level. */
  at?: Record<string, string>;
}

/** Of everything, or by pool. */
export type Quota = Amounts | Record<string, Amounts>;

export interface ScenarioQueue {
  parent?: string;
  nominal?: Quota;
  borrowLimit?: Quota;
  lendLimit?: Quota;
  limit?: Quota;
  guarantee?: Quota;
  weight?: number;
  order?: "strict" | "best_effort" | "least_service";
  reclaim?: ReclaimPolicy;
  withinQueue?: WithinQueuePolicy;
  paused?: boolean;
}

/** One role of a job with several. */
export interface ScenarioRole extends Amounts {
  /** Of one device, instead of whole ones. */
  share?: number;
  pods?: number;
  min?: number;
  pools?: string[];
  accelerators?: string[];
}

export interface ScenarioVariant {
  pools?: string[];
  accelerators?: string[];
  throughput?: number;
}

export interface ScenarioJob extends ScenarioRole {
  job: string;
  /** That many jobs, named job-1, job-2... */
  count?: number;
  queue?: string;
  priority?: number;
  preemptible?: boolean;
  /** Required or preferred level, `?` before it for preferred. */
  within?: string;
  /** Slices: pods that share one block of a level. */
  slices?: { pods: number; within: string }[];
  /** Instead of the pods of one role. */
  roles?: Record<string, ScenarioRole>;
  /** Instead of `pools` and `accelerators`, to be tried in order or as the policy says. */
  variants?: ScenarioVariant[];
  variantPolicy?: "ordered" | "fastest" | "cheapest";
  /** Each pod on a node of its own. */
  apart?: boolean;
  /** For running jobs: the node of each pod, role by role. */
  on?: string[];
  /** Seconds. */
  started?: number;
  submitted?: number;
  checkpointed?: number;
  expected?: number;
  limit?: number;
  /** It writes checkpoints, and may be stopped after one. */
  checkpoints?: boolean;
}

/** Instants in seconds. */
export interface ScenarioPool {
  ownership?: "owned" | "leased" | "cloud";
  price?: number;
  leaseEnd?: number;
  powerBudget?: number;
  devicePower?: number;
}

export interface ScenarioWindow {
  nodes: string[];
  start: number;
  end: number;
  jobs?: string[];
  queues?: string[];
}

export interface Expectation {
  /** Jobs that have started by the end of the step, with the nodes of their pods in any order where given. */
  start?: string[] | Record<string, string[]>;
  pods?: Record<string, number>;
  pool?: Record<string, string>;
  /** Pods of a job by block of the level, or by node. */
  place?: { job: string; level?: string; pods: Record<string, number> };
  /** Exactly these jobs were evicted in the step, each once. */
  evict?: string[];
  pending?: string[];
  /** Untouched: neither evicted, shrunk nor moved. */
  keep?: string[];
  keepPods?: Record<string, number>;
  /** Jobs that run, and jobs evicted in this step, by queue. */
  runningByQueue?: Record<string, number>;
  evictedByQueue?: Record<string, number>;
  /** Jobs moved, each to these nodes; or how many of a set. */
  move?: Record<string, string[]>;
  moveOneOf?: string[];
  explain?: { job: string; reason: WaitReason; says?: string[] }[];
  /** Whole devices of which nothing is held, by node. */
  free?: Record<string, number>;
  /** Consecutive ranks of a job share a block of the level. */
  together?: { job: string; pods: number; within: string }[];
  anyOf?: Expectation[];
}

export interface Step {
  /** Seconds that pass before it. */
  after?: number;
  /** These jobs end. */
  finish?: string[];
  /** These nodes come. */
  nodes?: Record<string, ScenarioNode>;
  /** These nodes fail, and the members on them are lost. */
  fail?: string[];
  submit?: ScenarioJob[];
  /** Submitted one after the other, with a cycle in between. */
  inOrder?: boolean;
  /** Evicted jobs whose workers take this many cycles to end. */
  slow?: Record<string, number>;
  expect: Expectation;
}

/** One case: a cluster, what runs, and steps with what must come of them. */
export interface Scenario {
  id: string;
  title: string;
  /** Whose published test suite states the fact. */
  source: string;
  levels?: readonly FabricLevel[];
  policy?: Partial<Policy>;
  /** Absent: one node that is large enough for everything, in each pool that is named. */
  nodes?: Record<string, ScenarioNode>;
  pools?: Record<string, ScenarioPool>;
  windows?: Record<string, ScenarioWindow>;
  queues: Record<string, ScenarioQueue>;
  running?: ScenarioJob[];
  /** They run too, but nothing is expected of them. */
  bystanders?: ScenarioJob[];
  steps: Step[];
  /** What is expected depends on the order of names: not to be renamed. */
  byName?: boolean;
}
