import { clusterChange, fieldErrors, type ClusterChange, type FieldError } from "@muster/model";
import { getJobPlaces, type Pool } from "@muster/store";
import { sees, type Identity } from "../access/identity.ts";
import { Problem } from "../problems/problem.ts";
import type { Cluster } from "./cluster-cache.ts";

/** What quota may be counted in beside accelerator models and pools. */
const RESOURCES = ["cpus", "memory"];
const AMOUNTS = ["nominal", "borrow_limit", "lend_limit", "limit", "guarantee"] as const;

/** Takes a plan's `cluster` apart from the job's spec. */
export function splitPlan(body: unknown): { spec: unknown; asked: unknown } {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return { spec: body, asked: undefined };
  const { cluster: asked, ...spec } = body as Record<string, unknown>;
  return { spec, asked };
}

/** The change of the cluster that a plan asks for, every name in it known to the asker; undefined where it asks for none. @throws Problem */
export async function readChange(pool: Pool, identity: Identity, cluster: Cluster, asked: unknown): Promise<ClusterChange | undefined> {
  if (asked === undefined || asked === null) return undefined;
  const parsed = clusterChange.safeParse(asked);
  if (!parsed.success)
    throw refuse(fieldErrors(parsed.error, clusterChange).map(({ path, message }) => ({ path: path === "" ? "cluster" : `cluster.${path}`, message })));
  const change = parsed.data;
  const errors: FieldError[] = [];
  const expect = (known: boolean, path: string, message: string): void => void (known || errors.push({ path: `cluster.${path}`, message }));

  const nodes = new Set(cluster.shape.nodes.map((node) => node.name));
  for (const [i, node] of change.return_nodes.entries()) expect(nodes.has(node), `return_nodes[${i}]`, `there is no node ${node}`);
  for (const [i, node] of change.cordon_nodes.entries()) expect(nodes.has(node), `cordon_nodes[${i}]`, `there is no node ${node}`);
  for (const [i, { like }] of change.add_nodes.entries()) expect(nodes.has(like), `add_nodes[${i}].like`, `there is no node ${like}`);

  const counted = new Set([...RESOURCES, ...cluster.shape.pools.map((one) => one.name), ...cluster.shape.nodes.map((node) => node.accelerator)]);
  for (const [i, queue] of change.queues.entries()) {
    expect(cluster.queues.has(queue.name), `queues[${i}].name`, `there is no queue ${queue.name}`);
    for (const field of AMOUNTS)
      for (const of of Object.keys(queue[field] ?? {}))
        expect(counted.has(of), `queues[${i}].${field}`, `${of} is no accelerator model or pool, nor one of ${RESOURCES.join(", ")}`);
  }

  const places = change.without_jobs.length > 0 ? await getJobPlaces(pool, change.without_jobs) : [];
  const seen = new Set(places.filter((place) => sees(identity, place.project)).map((place) => place.id));
  for (const [i, job] of change.without_jobs.entries()) expect(seen.has(job), `without_jobs[${i}]`, `there is no job ${job}; name it by its id`);
  if (errors.length > 0) throw refuse(errors);
  return change;
}

function refuse(errors: readonly FieldError[]): Problem {
  const [first] = errors;
  const more = errors.length > 1 ? `, and ${errors.length - 1} more` : "";
  return new Problem("invalid", `The changed cluster is not valid: ${first?.path ?? "cluster"} ${first?.message ?? "no details"}${more}`, {
    errors: [...errors],
  });
}
