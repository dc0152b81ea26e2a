import type { Mutant } from "./database.ts";

/** Bugs that are planted, to see that the simulation finds such: each undoes one check of the store. */
export const MUTANTS: Readonly<Record<string, Mutant>> = {
  /** Nobody says why a job waits. */
  no_reason: { "scheduler-reasons": (text) => `${text} AND false` },
  /** The next attempt starts, and a node is reachable again, while workers of the one before still live there: either alone is made good by the other. */
  no_fence: { "read-blocked-starts": (text) => text.replace("WHERE fenced OR sealing", "WHERE sealing"), "has-old-workers": never },
  /** A superseded attempt still commits. */
  stale_commits: {
    "api-accept-checkpoint": (text) =>
      text
        .replace(" AND j.incarnation = $2 AND j.attempt = $3 AND j.finished_at IS NULL AND a.state <> 'ended'", "")
        .replace("AND a.incarnation = j.incarnation AND a.number = j.attempt", ""),
  },
  /** Work is placed on nodes that are out of service. */
  closed_nodes: {
    "scheduler-open": (text) => text.replace("WHERE n.schedulable AND n.reachable ", ""),
    "scheduler-nodes": blind,
    "scheduler-all-nodes": blind,
  },
  /** A shard that restarts its first worker's attempt gives devices back before its workers are dead. */
  early_release: { "release-ended": (text) => text.replace("AND w.state IN ('exited', 'lost')", ""), "record-facts": (text) => text },
};

function never(text: string): string {
  return `SELECT false AS old FROM (${text}) AS asked`;
}

function blind(text: string): string {
  return text.replace("schedulable, reachable", "true AS schedulable, true AS reachable");
}
