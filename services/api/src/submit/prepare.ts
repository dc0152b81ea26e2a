import { randomBytes } from "node:crypto";
import { makeId, resolveJobSpec, type FieldError, type ResolvedJobSpec } from "@muster/model";
import type { NewDependency, NewJob } from "@muster/store";
import { atLeast, roleIn, type Identity } from "../access/identity.ts";
import { Problem } from "../problems/problem.ts";
import type { Cluster } from "./cluster-cache.ts";

/** A checked spec, not yet bound to other jobs. `path` goes before the paths of its fields in errors: `jobs[2].`, or nothing. */
export interface Prepared {
  submitted: unknown;
  resolved: ResolvedJobSpec;
  path: string;
}

/** @throws Problem invalid, forbidden */
export function readSpec(identity: Identity, submitted: unknown, path = ""): Prepared {
  const result = resolveJobSpec(submitted);
  if (!result.ok) throw invalidSpec(result.errors, path);
  const { project } = result.value;
  if (!atLeast(roleIn(identity, project), "submitter")) {
    throw new Problem("forbidden", `Submitting to project ${project} needs the role submitter there`, {
      errors: [{ path: `${path}project`, message: `this token is no submitter in ${project}` }],
    });
  }
  return { submitted, resolved: result.value, path };
}

export function invalidSpec(errors: readonly FieldError[], path: string): Problem {
  const full = errors.map((error) => ({ path: error.path === "" ? path.replace(/\.$/, "") : `${path}${error.path}`, message: error.message }));
  const first = full[0];
  return new Problem(
    "invalid",
    `The job spec is not valid: ${first ? `${first.path || "it"} ${first.message}` : "no details"}${full.length > 1 ? `, and ${full.length - 1} more` : ""}`,
    { errors: full },
  );
}

/** Whether the cluster knows what the spec names; undefined where all is well. */
export function checkNames({ resolved, path }: Prepared, cluster: Cluster): Problem | undefined {
  const refuse = (code: "unknown_project" | "unknown_queue" | "queue_not_allowed" | "unknown_priority", field: string, message: string): Problem =>
    new Problem(code, `${path}${field}: ${message}`, { errors: [{ path: `${path}${field}`, message }] });
  if (!cluster.projects.has(resolved.project)) return refuse("unknown_project", "project", `there is no project ${resolved.project}`);
  const projects = cluster.queues.get(resolved.queue);
  const usable = [...cluster.queues].filter(([, users]) => mayUse(users, resolved.project)).map(([name]) => name);
  const hint = usable.length > 0 ? `; queues of project ${resolved.project}: ${usable.slice(0, 10).join(", ")}` : "";
  if (!projects) return refuse("unknown_queue", "queue", `there is no queue ${resolved.queue}${hint}`);
  if (!mayUse(projects, resolved.project))
    return refuse("queue_not_allowed", "queue", `project ${resolved.project} may not use queue ${resolved.queue}${hint}`);
  if (!Object.hasOwn(cluster.priorities, resolved.priority))
    return refuse("unknown_priority", "priority", `there is no priority ${resolved.priority}; expected one of ${Object.keys(cluster.priorities).join(", ")}`);
  return undefined;
}

function mayUse(projects: readonly string[], project: string): boolean {
  return projects.includes("*") || projects.includes(project);
}

export interface RowOptions {
  submitter: string;
  held: boolean;
  sourceCommit: string | null;
  dependencies: readonly NewDependency[];
  priority: number;
  /** Ids, one for each element; the first is the array's. */
  ids: readonly string[];
}

/** The rows of a job, or of every element of an array. */
export function toRows({ submitted, resolved }: Prepared, options: RowOptions): NewJob[] {
  const first = options.ids[0] as string;
  const resolvedText = JSON.stringify(resolved);
  const size = sizeOf(resolved);
  return options.ids.map((id, index) => ({
    id,
    project: resolved.project,
    queue: resolved.queue,
    name: resolved.name,
    submitter: options.submitter,
    labels: resolved.labels,
    priority: options.priority,
    priorityClass: resolved.priority,
    preemptible: resolved.preemptible,
    arrayId: resolved.array ? first : null,
    arrayIndex: resolved.array ? index : null,
    arrayLimit: resolved.array?.limit ?? null,
    ...size,
    held: options.held,
    unmetDependencies: options.dependencies.length,
    notBefore: resolved.start_after ?? null,
    // an array keeps what was sent once, with its first element
    submitted: index === 0 ? JSON.stringify(submitted) : JSON.stringify({ array: first }),
    resolved: resolvedText,
    sourceCommit: options.sourceCommit,
    dependencies: options.dependencies,
  }));
}

/** Of an id. */
const RANDOM_BYTES = 10;

export function makeIds(count: number): string[] {
  const now = Date.now();
  const random = randomBytes(RANDOM_BYTES * count);
  const ids = Array.from({ length: count }, (_, i) => makeId("job", now, random.subarray(RANDOM_BYTES * i, RANDOM_BYTES * (i + 1))));
  // in the order of a file's documents and an array's elements, so that lists show them in it and equals start in it
  return count > 1 ? ids.sort() : ids;
}

const MOST = 2_147_483_647;

/** Nodes and devices asked by the first variant at its smallest. */
function sizeOf(resolved: ResolvedJobSpec): { nodes: number; devices: number } {
  let [nodes, devices] = [0, 0];
  for (const role of resolved.variants[0]?.roles ?? []) {
    nodes += role.nodes.min;
    devices += role.nodes.min * (role.resources.share > 0 ? 1 : role.resources.accelerators);
  }
  return { nodes: Math.min(nodes, MOST), devices: Math.min(devices, MOST) };
}
