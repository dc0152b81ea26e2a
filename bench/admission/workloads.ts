/*
 * The three workload generators of Kueue's performance tests, restated: cohorts of queues with a nominal quota of 20 cpus
 * each that may borrow 100; every class of every queue submits one workload each interval, from time 0, until its count.
 */

export interface WorkloadClass {
  name: string;
  count: number;
  /** Milliseconds between two submissions in one queue, and of running. */
  interval: number;
  runTime: number;
  priority: number;
  /** Members, and cpus of each. */
  members: number;
  cpus: number;
  topology?: Record<string, unknown>;
}

export interface Workload {
  name: string;
  cohorts: number;
  queuesOfCohort: number;
  nodes: { racks: number; ofRack: number; cpus: number };
  classes: readonly WorkloadClass[];
}

const NOMINAL_CPUS = 20;
export const QUEUE_SPEC = { nominal: { cpus: NOMINAL_CPUS }, borrow_limit: { cpus: 100 } };

/** Queues of a cohort lend to each other, cohorts don't. */
export function cohortSpec(workload: Workload): typeof QUEUE_SPEC {
  return { nominal: { cpus: NOMINAL_CPUS * workload.queuesOfCohort }, borrow_limit: { cpus: 0 } };
}

const oneNode = (cpus: number): Workload["nodes"] => ({ racks: 1, ofRack: 1, cpus });

export const BASELINE: Workload = {
  name: "baseline",
  cohorts: 5,
  queuesOfCohort: 6,
  nodes: oneNode(1000),
  classes: [
    { name: "small", count: 350, interval: 100, runTime: 200, priority: 50, members: 1, cpus: 1 },
    { name: "medium", count: 100, interval: 500, runTime: 500, priority: 100, members: 1, cpus: 5 },
    { name: "large", count: 50, interval: 1200, runTime: 1000, priority: 200, members: 1, cpus: 20 },
  ],
};

export const LARGE: Workload = {
  name: "large",
  cohorts: 10,
  queuesOfCohort: 100,
  nodes: oneNode(30_000),
  classes: [
    { name: "small", count: 35, interval: 60, runTime: 150, priority: 50, members: 1, cpus: 1 },
    { name: "medium", count: 11, interval: 300, runTime: 350, priority: 100, members: 1, cpus: 5 },
    { name: "large", count: 4, interval: 700, runTime: 700, priority: 200, members: 1, cpus: 20 },
  ],
};

/** Each class in three kinds: the whole gang in one rack, preferably so, and equal slices each in one rack. */
function inRacks(of: Omit<WorkloadClass, "count">, counts: [number, number, number], slice: number): WorkloadClass[] {
  return [
    { ...of, name: `${of.name}-required`, count: counts[0], topology: { job: { within: "leaf", mode: "required" } } },
    { ...of, name: `${of.name}-preferred`, count: counts[1], topology: { job: { within: "leaf", mode: "preferred" } } },
    { ...of, name: `${of.name}-balanced`, count: counts[2], topology: { segments: [{ ranks: slice, within: "leaf", mode: "required" }] } },
  ];
}

export const TOPOLOGY: Workload = {
  name: "topology",
  cohorts: 5,
  queuesOfCohort: 6,
  nodes: { racks: 10, ofRack: 64, cpus: 96 },
  classes: [
    ...inRacks({ name: "small", interval: 100, runTime: 200, priority: 50, members: 2, cpus: 0.5 }, [120, 120, 110], 1),
    ...inRacks({ name: "medium", interval: 500, runTime: 500, priority: 100, members: 4, cpus: 1.25 }, [34, 33, 33], 2),
    ...inRacks({ name: "large", interval: 1200, runTime: 1000, priority: 200, members: 8, cpus: 2.5 }, [17, 17, 16], 4),
  ],
};

export function countOf(workload: Workload): number {
  return workload.cohorts * workload.queuesOfCohort * workload.classes.reduce((sum, one) => sum + one.count, 0);
}

/** No schedule ends before this: the last submission and its run, and a cohort's work over its quota; milliseconds. */
export function lowerBound(workload: Workload): number {
  const last = Math.max(...workload.classes.map((one) => one.interval * (one.count - 1) + one.runTime));
  const work = workload.classes.reduce((sum, one) => sum + one.count * one.members * one.cpus * one.runTime, 0);
  return Math.max(last, work / NOMINAL_CPUS);
}

export interface Submission {
  /** Milliseconds after the start. */
  at: number;
  queue: string;
  class: WorkloadClass;
}

/** Every submission of a workload in the order of time. */
export function submissionsOf(workload: Workload): Submission[] {
  const all: Submission[] = [];
  for (let cohort = 0; cohort < workload.cohorts; cohort++) {
    for (let queue = 0; queue < workload.queuesOfCohort; queue++) {
      for (const one of workload.classes)
        for (let index = 0; index < one.count; index++) all.push({ at: index * one.interval, queue: `c${cohort}-q${queue}`, class: one });
    }
  }
  return all.sort((a, b) => a.at - b.at);
}
