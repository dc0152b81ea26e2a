import type { ApiClient, Thing } from "../control-plane/api-client.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The variables of a container, from values, the pod's own fields, and ConfigMaps and Secrets of its namespace. */
export async function environmentOf(api: ApiClient, pod: Thing, container: Thing, devices: Record<string, number[]>): Promise<Record<string, string>> {
  const env: Record<string, string> = { PATH, HOME: "/", HOSTNAME: pod.spec.hostname ?? pod.metadata.name };
  const { host, port } = api.address;
  Object.assign(env, { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port });
  // as NVIDIA's device plugin does
  if (devices["nvidia.com/gpu"]) env["NVIDIA_VISIBLE_DEVICES"] = devices["nvidia.com/gpu"].join(",");
  for (const { configMapRef, secretRef, prefix = "" } of container.envFrom ?? []) {
    const data = configMapRef ? await dataOf(api, pod, "configmaps", configMapRef) : await dataOf(api, pod, "secrets", secretRef);
    for (const [key, value] of Object.entries(data)) env[`${prefix}${key}`] = value.toString();
  }
  for (const { name, value = "", valueFrom } of container.env ?? []) {
    env[name] = valueFrom ? await lookUp(api, pod, container, valueFrom) : expand(value, env);
  }
  return env;
}

/** `$(NAME)` of a variable that is there; `$$` is a dollar. */
export function expand(text: string, env: Record<string, string>): string {
  return text.replaceAll(/\$\$|\$\(([\w.-]+)\)/g, (whole, name: string | undefined) => (name === undefined ? "$" : (env[name] ?? whole)));
}

/** A field of the pod by its path, as the downward API gives it. */
export function fieldOf(pod: Thing, path: string): string {
  const [, kind, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path) ?? [];
  if (kind !== undefined && key !== undefined) return pod.metadata[kind]?.[key] ?? "";
  const value = path.split(".").reduce((at: Thing, part) => at?.[part], pod);
  if (typeof value !== "object") return value === undefined ? "" : String(value);
  return Object.entries(value as Record<string, string>)
    .map(([name, text]) => `${name}=${JSON.stringify(text)}`)
    .join("\n");
}

/** The entries of a ConfigMap or a Secret; @throws where it is missing and not optional */
export async function dataOf(api: ApiClient, pod: Thing, kind: "configmaps" | "secrets", { name, optional }: Thing): Promise<Record<string, Buffer>> {
  const found = await api.find(`/api/v1/namespaces/${pod.metadata.namespace}/${kind}/${name}`);
  if (!found) {
    if (optional) return {};
    throw new Error(`${kind === "secrets" ? "secret" : "configmap"} "${name}" not found`);
  }
  const entries = (data: Record<string, string> | undefined, encoding: BufferEncoding): [string, Buffer][] =>
    Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, encoding)]);
  return Object.fromEntries(kind === "secrets" ? entries(found.data, "base64") : [...entries(found.data, "utf8"), ...entries(found.binaryData, "base64")]);
}

async function lookUp(api: ApiClient, pod: Thing, container: Thing, from: Thing): Promise<string> {
  if (from.fieldRef) return fieldOf(pod, from.fieldRef.fieldPath);
  if (from.resourceFieldRef) {
    const [kind, name] = from.resourceFieldRef.resource.split(/\.(.*)/s);
    return String(container.resources?.[kind]?.[name] ?? "");
  }
  const [kind, ref] = from.secretKeyRef ? (["secrets", from.secretKeyRef] as const) : (["configmaps", from.configMapKeyRef] as const);
  const value = (await dataOf(api, pod, kind, ref))[ref.key];
  if (value === undefined && !ref.optional) throw new Error(`couldn't find key ${ref.key} in ${ref.name}`);
  return value?.toString() ?? "";
}
