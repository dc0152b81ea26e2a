import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import type { Thing } from "./control-plane/api-client.ts";
import type { ControlPlane } from "./control-plane/control-plane.ts";

const CHART = fileURLToPath(new URL("../../deploy/helm/muster", import.meta.url));
/** What of the chart concerns the engine: who it is, what it may do, and where its workers run. */
const KINDS = ["Namespace", "PriorityClass", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
export const SUPERVISOR = "system:serviceaccount:muster:muster-supervisor";

/** What a supervisor asks for, in the API server's audit log: for tests of what its role grants. */
export const AUDIT = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata", users: [SUPERVISOR] }, { level: "None" }],
};

/**
 * Applies the chart's objects with these values, and makes its supervisor a user of the control plane: with those rights and no others.
 *
 * @returns the supervisor's roles
 */
export async function installRoles(plane: ControlPlane, ...values: string[]): Promise<Thing[]> {
  const { admin } = plane;
  const env = { ...process.env, HELM_CACHE_HOME: plane.dir, HELM_CONFIG_HOME: plane.dir, HELM_DATA_HOME: plane.dir };
  const { helm } = plane.binaries;
  if (helm === undefined) throw new Error("helm is missing beside the control plane");
  const words = ["template", "muster", CHART, "--namespace", "muster", ...values.flatMap((value) => ["--set", value])];
  const things = parseAllDocuments(execFileSync(helm, words, { encoding: "utf8", env }))
    .map((document): Thing => document.toJS())
    .filter((thing) => KINDS.includes(thing?.kind))
    .toSorted((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
  if (!(await admin.find("/api/v1/namespaces/muster"))) await admin.create("/api/v1/namespaces", { metadata: { name: "muster" } });
  for (const thing of things) {
    const base = thing.apiVersion === "v1" ? "/api/v1" : `/apis/${thing.apiVersion}`;
    const { namespace, name } = thing.metadata;
    const plural = `${thing.kind.toLowerCase()}${thing.kind.endsWith("s") ? "es" : "s"}`;
    await admin.patch(`${base}${namespace ? `/namespaces/${namespace}` : ""}/${plural}/${name}?fieldManager=test&force=true`, thing, "apply");
  }
  const { status } = await admin.create("/api/v1/namespaces/muster/serviceaccounts/muster-supervisor/token", { spec: {} });
  plane.addUser(SUPERVISOR, status.token);
  return things.filter((thing) => thing.kind === "Role" || thing.kind === "ClusterRole");
}

/** Requests of the supervisor that the audit log has. */
export function asked(plane: ControlPlane): Thing[] {
  return readFileSync(plane.auditLog, "utf8")
    .split("\n")
    .flatMap((line) => (line.endsWith("}") ? [JSON.parse(line)] : []))
    .filter((one) => one.objectRef);
}

/** What they used of a role, in the words of `granted`. */
export function used(plane: ControlPlane): Set<string> {
  return new Set(
    asked(plane)
      .filter(({ responseStatus }) => responseStatus?.code !== 403)
      .map(({ verb, objectRef: { resource, subresource, namespace } }) =>
        named(verb, subresource ? `${resource}/${subresource}` : resource, namespace !== undefined),
      ),
  );
}

/** Each verb that roles grant, such as `get pods/log of its namespace`. */
export function granted(roles: readonly Thing[]): string[] {
  return roles.flatMap((role) =>
    role.rules.flatMap((rule: Thing) =>
      rule.resources.flatMap((resource: string) => rule.verbs.map((verb: string) => named(verb, resource, role.kind === "Role"))),
    ),
  );
}

function named(verb: string, resource: string, namespaced: boolean): string {
  return `${verb} ${resource} of ${namespaced ? "its namespace" : "all"}`;
}
