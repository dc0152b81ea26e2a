import type { Verdict } from "./classify.ts";

/*
 * When a job that lives makes no progress. Decided from facts by the database's clock, all in milliseconds. Time in which the
 * job's shards could not be heard, or nobody listened to them, doesn't count as quiet.
 */

export interface HangLimits {
  /** Without `hang_timeout`: never sooner than this, and not before `factor` times the median time between two reports. */
  floor: number;
  factor: number;
  /** So many times between reports are needed to know the pace. */
  intervals: number;
  /** From being up to the first step of an attempt, and as long as the pace isn't known. */
  firstStep: number;
  evaluation: number;
  checkpoint: number;
  /** While the framework says that it recovers by itself: until then it is waited for. */
  recovering: number;
  /** A shard that is heard of again has so long to tell what it did meanwhile. */
  settle: number;
}

export const HANG_LIMITS: HangLimits = {
  floor: 60_000,
  factor: 10,
  intervals: 5,
  firstStep: 1_800_000,
  evaluation: 7_200_000,
  checkpoint: 1_800_000,
  recovering: 300_000,
  settle: 30_000,
};

export interface ProgressFacts {
  now: number;
  /** When all workers of the attempt were up. */
  upAt: number;
  /** When its step last rose; null: not yet in this attempt. */
  stepAt: number | null;
  step: number | null;
  /** Whether any attempt of the job ever reported progress. */
  reports: boolean;
  /** As last reported in this attempt. */
  phase: string | null;
  /** Times between the last rises of the step, at most 50. */
  intervals: readonly number[];
  /** `recovery.hang_timeout`. */
  hangTimeout: number | null;
  /** Since when somebody listens to all shards of its workers, and hears of them; null: one of them isn't heard of now. */
  heardSince: number | null;
  /** Of the time since its last step, what one of them was not heard of. */
  unheard: number;
}

export type HangDecision =
  | { kind: "unknown"; why: string }
  | { kind: "well"; limit: number }
  | { kind: "hung"; limit: number; rule: string; since: number; evidence: string[] };

export function judgeHang(facts: ProgressFacts, limits: HangLimits = HANG_LIMITS): HangDecision {
  if (!facts.reports && facts.hangTimeout === null) return { kind: "unknown", why: "it never reported progress, and has no hang_timeout" };
  if (facts.heardSince === null) return { kind: "unknown", why: "a shard of it isn't heard of" };
  const { limit, rule } = limitOf(facts, limits);
  const last = facts.stepAt ?? facts.upAt;
  const quiet = facts.now - last - facts.unheard;
  if (quiet < limit || facts.now - facts.heardSince < Math.min(limit, limits.settle)) return { kind: "well", limit };
  const silent = seconds(facts.now - last);
  const evidence = [
    facts.stepAt === null ? `no first step ${silent} after all workers were up` : `no step for ${silent}; the last was ${facts.step ?? "not numbered"}`,
    `limit ${seconds(limit)}: ${rule}`,
    ...(facts.unheard > 0 ? [`${seconds(facts.unheard)} of that don't count: a shard of it was not heard of`] : []),
    ...(facts.intervals.length > 0 ? [`median time between reports ${seconds(median(facts.intervals))}, of the last ${facts.intervals.length}`] : []),
    ...(facts.phase === null ? [] : [`phase ${facts.phase}`]),
  ];
  return { kind: "hung", limit, rule, since: last, evidence };
}

function limitOf({ hangTimeout, stepAt, phase, intervals }: ProgressFacts, limits: HangLimits): { limit: number; rule: string } {
  const own = (limit: number, what: string): { limit: number; rule: string } =>
    hangTimeout !== null && hangTimeout > limit ? { limit: hangTimeout, rule: "recovery.hang_timeout" } : { limit, rule: `that of ${what}` };
  if (phase !== null && /^eval|^valid/i.test(phase)) return own(limits.evaluation, "an evaluation");
  if (phase !== null && /^checkpoint|^sav(e|ing)/i.test(phase)) return own(limits.checkpoint, "a checkpoint");
  if (phase !== null && /^recover/i.test(phase)) return own(limits.recovering, "the framework's own recovery");
  if (stepAt === null) return own(limits.firstStep, "the first step of an attempt");
  if (hangTimeout !== null) return { limit: hangTimeout, rule: "recovery.hang_timeout" };
  if (intervals.length < limits.intervals) return { limit: limits.firstStep, rule: "that of a job whose pace isn't known yet" };
  return { limit: Math.max(limits.floor, limits.factor * median(intervals)), rule: `${limits.factor} times the median, at least ${seconds(limits.floor)}` };
}

/**
 * What a hang is taken for. Most are infrastructure's (ByteRobust, SOSP 2025, table 2: 21 of 26); one that comes again with no
 * checkpoint between is unexplained, so that its ledger ends it.
 */
export function hangVerdict(evidence: readonly string[], repeated: boolean): Verdict {
  return {
    class: repeated ? "unknown" : "infrastructure",
    rule: "hang",
    action: "retry",
    message: repeated ? "it hung again, with no new checkpoint between" : "it made no progress while its processes lived",
    worker: null,
    node: null,
    exitCode: null,
    signal: null,
    signature: HANG_SIGNATURE,
    evidence: [...evidence],
  };
}

export const HANG_SIGNATURE = "hang::";

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function seconds(milliseconds: number): string {
  return `${Number((milliseconds / 1000).toFixed(1))} s`;
}
