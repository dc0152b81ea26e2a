import type { Mutant } from "./database.ts";

/** A bug that is planted: what it does to the store's statements, and what the simulation says of it. */
interface Planted {
  edits: Mutant;
  says: RegExp;
}

/** Bugs that are planted, to see that the simulation finds such: each undoes one check of the store. */
export const MUTANTS: Readonly<Record<string, Planted>> = {
  /** Nobody says why a job waits. */
  no_reason: { edits: { "scheduler-reasons": (text) => `${text} AND false` }, says: /waits without a reason/ },
  /** The next attempt starts, and a node is reachable again, while workers of the one before still live there: either alone is made good by the other. */
  no_fence: {
    edits: { "read-blocked-starts": (text) => text.replace("WHERE fenced OR sealing", "WHERE sealing"), "has-old-workers": never },
    says: /live on reachable nodes|lives on \S+, which is reachable/,
  },
  /** A superseded attempt still commits. */
  stale_commits: {
    edits: {
      "api-accept-checkpoint": (text) =>
        text
          .replace(" AND j.incarnation = $2 AND j.attempt = $3 AND j.finished_at IS NULL AND a.state <> 'ended'", "")
          .replace("AND a.incarnation = j.incarnation AND a.number = j.attempt", ""),
    },
    says: /committed step \d+ after it had ended|committed after a newer one had/,
  },
  /** Work is placed on nodes that are out of service. */
  closed_nodes: {
    edits: {
      "scheduler-open": (text) => text.replace("WHERE n.schedulable AND n.reachable ", ""),
      "scheduler-nodes": blind,
      "scheduler-all-nodes": blind,
    },
    says: /was opened on \S+, which is|failed \(bad_node\)/,
  },
  /** Devices are given back before the workers on them are dead: the database itself refuses that. */
  early_release: {
    edits: { "release-ended": (text) => text.replace("AND w.state IN ('exited', 'lost')", "") },
    says: /violates check constraint "workers_check"/,
  },
};

function never(text: string): string {
  return `SELECT false AS old FROM (${text}) AS asked`;
}

function blind(text: string): string {
  return text.replace("schedulable, reachable", "true AS schedulable, true AS reachable");
}
