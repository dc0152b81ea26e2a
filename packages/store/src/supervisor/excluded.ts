import type { Client } from "../pool.ts";

export interface ForgivingRow {
  job: string;
  project: string;
  /** Nodes that it left out, and that are in order again. */
  nodes: string[];
}

/**
 * What is said of a node that a job leaves out: it is in order again, or was seen to since the job last broke. One that was on probation then,
 * and stayed so as the quarantine of its pool was full, has to prove itself first.
 */
const IN_ORDER = `SELECT FROM nodes n WHERE n.name = e.name AND (n.health = 'ready' OR (n.health = 'probation'
        AND n.health_since > (SELECT coalesce(max(a.ended_at), '-infinity') FROM attempts a WHERE (a.job, a.incarnation) = (j.id, j.incarnation))))`;

/** Live jobs that leave nodes out which are in order again. */
export async function readForgiving(client: Client): Promise<{ job: string }[]> {
  const { rows } = await client.query<{ job: string }>({
    name: "read-forgiving",
    text: `SELECT j.id AS job FROM jobs j WHERE j.finished_at IS NULL AND cardinality(j.excluded_nodes) > 0
        AND EXISTS (SELECT FROM unnest(j.excluded_nodes) AS e(name) WHERE EXISTS (${IN_ORDER}))`,
  });
  return rows;
}

/** @param jobs locked. Returns those that may have nodes again which they left out */
export async function forgiveNodes(client: Client, jobs: readonly { job: string }[]): Promise<ForgivingRow[]> {
  const { rows } = await client.query<ForgivingRow>({
    name: "forgive-nodes",
    text: `UPDATE jobs k SET excluded_nodes = ARRAY (SELECT o.name FROM unnest(k.excluded_nodes) WITH ORDINALITY AS o(name, place) WHERE o.name <> ALL (f.nodes) ORDER BY o.place),
        version = k.version + 1
      FROM (SELECT j.id, array_agg(e.name ORDER BY e.name) AS nodes FROM jobs j, unnest(j.excluded_nodes) AS e(name) WHERE j.id = ANY ($1) AND EXISTS (${IN_ORDER}) GROUP BY j.id) f
      WHERE k.id = f.id AND k.finished_at IS NULL RETURNING k.id AS job, k.project, f.nodes`,
    values: [jobs.map(({ job }) => job)],
  });
  return rows;
}
