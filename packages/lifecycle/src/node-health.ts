import type { NodeHealth } from "@muster/model";
import type { Verdict } from "./classify.ts";
import type { NodeEvent } from "./node-states.ts";

/** Of a pool's nodes, the part that may be taken out of service without a person; one node always may. */
export const QUARANTINE_PART = 0.1;

export interface HealthReport {
  status: "ok" | "warning" | "fatal";
  check: string;
}

export interface ReportedNode {
  health: NodeHealth;
  /** The check whose report set that; null: a person or Muster did. */
  setBy: string | null;
  /** Nodes of its pool that were taken out of service without a person, and all that aren't retired. */
  quarantined: number;
  total: number;
  /** The part of a pool that may be; absent: the usual. */
  quarantine?: number;
}

export interface HealthDecision {
  /** What happens to the node, in order. */
  events: NodeEvent[];
  /** It would have been taken out of service, but too many of its pool are already. */
  full: boolean;
}

const NOTHING: HealthDecision = { events: [], full: false };

/** What a check's report does. A check clears only what it set itself; nothing overrides a person. */
export function decideHealth(node: ReportedNode, report: HealthReport): HealthDecision {
  const inService = node.health === "ready" || node.health === "suspect" || node.health === "probation";
  if (report.status === "ok") {
    if (node.setBy !== report.check) return NOTHING;
    if (node.health === "suspect") return { events: ["cleared"], full: false };
    return node.health === "cordoned" ? { events: ["diagnose", "passed"], full: false } : NOTHING;
  }
  if (!inService) return NOTHING;
  if (report.status === "fatal" || node.health === "probation") {
    if (hasRoom(node)) return { events: ["cordon"], full: false };
    return { events: node.health === "ready" ? ["suspected"] : [], full: true };
  }
  return node.health === "ready" ? { events: ["suspected"], full: false } : NOTHING;
}

/** Whether one more node of its pool may be taken out of service without a person. */
export function hasRoom({ quarantined, total, quarantine = QUARANTINE_PART }: Pick<ReportedNode, "quarantined" | "total" | "quarantine">): boolean {
  return quarantined < Math.max(1, Math.floor(total * quarantine));
}

/**
 * What it means for a node that a rule names it as where a job broke. A device that reports what can't pass by itself takes it out
 * at once; anything else only makes it suspect, and the second time has its work leave, as does the first on probation.
 */
export function decideSuspicion(node: ReportedNode, certain: boolean): HealthDecision {
  if (node.health !== "ready" && node.health !== "suspect" && node.health !== "probation") return NOTHING;
  if (certain) return hasRoom(node) ? { events: ["cordon"], full: false } : { events: node.health === "ready" ? ["suspected"] : [], full: true };
  if (node.health === "ready") return { events: ["suspected"], full: false };
  // suspect for its silence, or by a check that only warned, is no first time
  if (node.health === "suspect" && !node.setBy?.startsWith(RULE)) return NOTHING;
  return hasRoom(node) ? { events: ["drain"], full: false } : { events: [], full: true };
}

/** Begins the names of rules among those that set a node's health. */
export const RULE = "rule:";

/** What ends an attempt on a node that a check took out of service: nothing of the job's own. */
export function badNodeVerdict(node: string | null, evidence: readonly string[]): Verdict {
  return {
    class: "infrastructure",
    rule: "bad_node",
    action: "exclude_node",
    message: "a check took a node out of service",
    worker: null,
    node,
    exitCode: null,
    signal: null,
    signature: "bad_node::",
    evidence: [...evidence],
  };
}
