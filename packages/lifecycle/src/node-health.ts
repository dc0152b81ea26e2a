import type { NodeHealth } from "@muster/model";
import type { Verdict } from "./classify.ts";
import type { NodeEvent } from "./node-states.ts";

/** Of a pool's nodes, the part that reports of checks may take out of service; one node always may. */
export const QUARANTINE_PART = 0.1;

export interface HealthReport {
  status: "ok" | "warning" | "fatal";
  check: string;
}

export interface ReportedNode {
  health: NodeHealth;
  /** The check whose report set that; null: a person or Muster did. */
  setBy: string | null;
  /** Nodes of its pool that checks took out of service, and all that aren't retired. */
  quarantined: number;
  total: number;
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
    if (node.quarantined < Math.max(1, Math.floor(node.total * QUARANTINE_PART))) return { events: ["cordon"], full: false };
    return { events: node.health === "ready" ? ["suspected"] : [], full: true };
  }
  return node.health === "ready" ? { events: ["suspected"], full: false } : NOTHING;
}

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
