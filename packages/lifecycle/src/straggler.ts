import type { Verdict } from "./classify.ts";
import { median } from "./hang.ts";

/*
 * Ranks that slow down their gang: what a rank takes for a step by itself, without waiting for its peers, beside what they
 * take. All times in milliseconds by the database's clock.
 */

export interface StragglerLimits {
  /** Times the median of its peers. */
  factor: number;
  /** In so many reports one after another... */
  windows: number;
  /** ...and for so long. */
  span: number;
  /** What a restart takes, where none of the job's is known. */
  restart: number;
}

/** Minder, NSDI 2025 (four minutes without a break), ByteRobust, SOSP 2025 (five rounds). */
export const STRAGGLER_LIMITS: StragglerLimits = { factor: 1.2, windows: 5, span: 240_000, restart: 120_000 };

export interface RankTimes {
  rank: number;
  worker: string;
  node: string;
  /** Newest first: when it was reported, and the seconds that a step took. */
  reports: readonly { at: number; seconds: number }[];
}

export interface Straggler {
  rank: number;
  worker: string;
  node: string;
  /** Seconds of a step: its own, and the median of its peers. */
  own: number;
  peers: number;
  /** Since when it has been slow without a break. */
  since: number;
  evidence: string[];
}

/** The slow ranks of one attempt, the slowest first. */
export function findStragglers(now: number, ranks: readonly RankTimes[], limits: StragglerLimits = STRAGGLER_LIMITS): Straggler[] {
  if (ranks.length < 3) return [];
  const recent = ranks.map((rank) => ({ ...rank, own: mean(rank.reports.filter(({ at }) => now - at <= limits.span).map(({ seconds }) => seconds)) }));
  return recent
    .flatMap(({ rank, worker, node, reports, own }) => {
      // a node that is slow as a whole is no peer of its own ranks
      const elsewhere = recent.filter((other) => other.node !== node);
      const others = (elsewhere.length >= 2 ? elsewhere : recent.filter((other) => other.rank !== rank)).map((other) => other.own).filter((one) => one > 0);
      const peers = median(others);
      if (others.length < 2 || peers <= 0) return [];
      const end = reports.findIndex(({ seconds }) => seconds <= limits.factor * peers);
      const slow = end < 0 ? reports : reports.slice(0, end);
      const since = slow.at(-1)?.at ?? now;
      if (slow.length < limits.windows || now - since < limits.span) return [];
      const evidence = [
        `rank ${rank} on ${node} takes ${own.toFixed(3)} s for a step by itself, its peers ${peers.toFixed(3)} s`,
        `in ${slow.length} reports one after another, for ${Math.round((now - since) / 1000)} s`,
      ];
      return [{ rank, worker, node, own, peers, since, evidence }];
    })
    .sort((a, b) => b.own / b.peers - a.own / a.peers);
}

export interface StragglerCost {
  now: number;
  /** What a restart of the job took, the median of those known; null: none is. */
  restart: number | null;
  /** When its newest commit was accepted, or its first step was made: what came after is made again. */
  committedAt: number;
  /** Whether a healthy node is free to take the place of the slow one. */
  replaceable: boolean;
}

/**
 * Whether to go on without the slow node: once it has cost as much as a restart would, and no sooner, which at worst costs
 * twice the best that could have been done. The redo after the restart is part of its cost, so that the time to act is just
 * after a checkpoint.
 */
export function worthRestart(slow: Straggler, cost: StragglerCost, limits: StragglerLimits = STRAGGLER_LIMITS): { act: boolean; why: string } {
  const lost = (cost.now - slow.since) * (1 - slow.peers / slow.own);
  const price = (cost.restart ?? limits.restart) + Math.max(0, cost.now - cost.committedAt);
  const seconds = (milliseconds: number): string => `${Math.round(milliseconds / 1000)} s`;
  if (!cost.replaceable) return { act: false, why: "no healthy node is free to take its place" };
  if (lost < price) return { act: false, why: `it has cost ${seconds(lost)} so far, a restart ${seconds(price)}` };
  return { act: true, why: `it has cost ${seconds(lost)}, a restart ${seconds(price)}` };
}

export function stragglerVerdict(node: string | null, evidence: readonly string[]): Verdict {
  return {
    class: "infrastructure",
    rule: "straggler",
    action: "exclude_node",
    message: "a node slowed down the whole gang",
    worker: null,
    node,
    exitCode: null,
    signal: null,
    signature: "straggler::",
    evidence: [...evidence],
  };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
