import type { Role } from "@muster/model";

/**
 * Who may call what: the server decides by this table alone, and a route that is not in it does not start. Scopes:
 * - `public`: anyone, without a token
 * - `any`: any token; what it gets is filtered by its projects
 * - `cluster`: a token of all projects with at least the role
 * - `project`: the role in the project that the path names; making one takes the role in the cluster
 * - `job`: the role in the job's project; a job of another project is not there. `others`: the role needed for a job that
 *   someone else submitted
 * - `body`: the role in the project that the body names
 * - `attempt`: the token of an attempt, for its own job
 */
export type Access =
  | { scope: "public" | "any" | "attempt" }
  | { scope: "cluster" | "project" | "body"; role: Role }
  | { scope: "job"; role: Role; others?: Role };

const ANY: Access = { scope: "any" };
const PUBLIC: Access = { scope: "public" };
const SEE_JOB: Access = { scope: "job", role: "viewer" };
const ACT_ON_JOB: Access = { scope: "job", role: "submitter", others: "operator" };
const SUBMIT: Access = { scope: "body", role: "submitter" };
const OPERATE: Access = { scope: "cluster", role: "operator" };
const ADMINISTER: Access = { scope: "cluster", role: "admin" };

export const ACCESS: Readonly<Record<string, Access>> = {
  "GET /healthz": PUBLIC,
  "GET /readyz": PUBLIC,
  "GET /metrics": OPERATE,
  "GET /v1/openapi.json": PUBLIC,
  "GET /v1/me": ANY,
  "GET /v1/overview": ANY,
  "GET /v1/cluster": ANY,
  "PUT /v1/cluster/settings": ADMINISTER,
  "POST /v1/cluster/new-incarnation": ADMINISTER,
  "POST /v1/cluster/lift-brake": OPERATE,
  "GET /v1/events": ANY,
  "GET /v1/events/stream": ANY,
  "GET /v1/incidents": ANY,
  "GET /v1/accounting": ANY,
  "POST /v1/jobs": SUBMIT,
  "POST /v1/jobs/batch": SUBMIT,
  "POST /v1/jobs/plan": SUBMIT,
  "GET /v1/jobs": ANY,
  "GET /v1/jobs/summary": ANY,
  "GET /v1/jobs/{id}": SEE_JOB,
  "PATCH /v1/jobs/{id}": ACT_ON_JOB,
  "GET /v1/jobs/{id}/spec": SEE_JOB,
  "GET /v1/jobs/{id}/explain": SEE_JOB,
  "GET /v1/jobs/{id}/events": SEE_JOB,
  "GET /v1/jobs/{id}/attempts": SEE_JOB,
  "GET /v1/jobs/{id}/workers": SEE_JOB,
  "GET /v1/jobs/{id}/checkpoints": SEE_JOB,
  "POST /v1/jobs/{id}/checkpoints": { scope: "attempt" },
  "GET /v1/jobs/{id}/logs": SEE_JOB,
  "POST /v1/jobs/{id}/cancel": ACT_ON_JOB,
  "POST /v1/jobs/{id}/hold": ACT_ON_JOB,
  "POST /v1/jobs/{id}/release": ACT_ON_JOB,
  "POST /v1/jobs/{id}/suspend": ACT_ON_JOB,
  "POST /v1/jobs/{id}/resume": ACT_ON_JOB,
  "POST /v1/jobs/{id}/requeue": ACT_ON_JOB,
  "POST /v1/jobs/{id}/checkpoint": ACT_ON_JOB,
  "GET /v1/nodes": ANY,
  "GET /v1/nodes/{name}": ANY,
  "PUT /v1/nodes/{name}": ADMINISTER,
  "DELETE /v1/nodes/{name}": ADMINISTER,
  "POST /v1/nodes/{name}/cordon": OPERATE,
  "POST /v1/nodes/{name}/uncordon": OPERATE,
  "POST /v1/nodes/{name}/drain": OPERATE,
  "POST /v1/nodes/{name}/diagnose": OPERATE,
  "POST /v1/nodes/{name}/retire": OPERATE,
  "POST /v1/nodes/{name}/health": OPERATE,
  "GET /v1/pools": ANY,
  "GET /v1/pools/{name}": ANY,
  "PUT /v1/pools/{name}": ADMINISTER,
  "DELETE /v1/pools/{name}": ADMINISTER,
  "GET /v1/queues": ANY,
  "GET /v1/queues/{name}": ANY,
  "PUT /v1/queues/{name}": ADMINISTER,
  "DELETE /v1/queues/{name}": ADMINISTER,
  "GET /v1/projects": ANY,
  "GET /v1/projects/{name}": { scope: "project", role: "viewer" },
  "PUT /v1/projects/{name}": { scope: "project", role: "admin" },
  "DELETE /v1/projects/{name}": ADMINISTER,
  "GET /v1/windows": ANY,
  "GET /v1/windows/{name}": ANY,
  "PUT /v1/windows/{name}": OPERATE,
  "DELETE /v1/windows/{name}": OPERATE,
  "GET /v1/shards": OPERATE,
  "GET /v1/shards/{name}": OPERATE,
  "PUT /v1/shards/{name}": ADMINISTER,
  "DELETE /v1/shards/{name}": ADMINISTER,
  "GET /v1/tokens": { scope: "body", role: "admin" },
  "POST /v1/tokens": { scope: "body", role: "admin" },
  "DELETE /v1/tokens/{id}": { scope: "body", role: "admin" },
};

/** Files for browsers, which carry no data: the dashboard and the reference of the API. */
export const PUBLIC_FILES = ["/", "/*", "/docs", "/docs/"] as const;

export function accessOf(method: string, url: string): Access | undefined {
  const path = url.replace(/:([A-Za-z]+)/g, "{$1}");
  if (method === "GET" && ((PUBLIC_FILES as readonly string[]).includes(path) || path.startsWith("/docs/"))) return PUBLIC;
  return ACCESS[`${method} ${path}`];
}
