import type { WorkerStart } from "@muster/engine";
import type { KubernetesConfig, KubernetesProjectRules } from "@muster/model";
import { imageOf } from "./pod.ts";

/* What a project's jobs may use of a shard. Nothing is allowed that isn't named. */

const FORBIDDEN = ["/proc", "/sys", "/dev", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/usr", "/boot", "/muster"];

/** What is wrong with a start, and what to do about it; undefined where nothing is. */
export function forbidden(start: WorkerStart, config: KubernetesConfig, shard: string): string | undefined {
  const rules = rulesOf(config, start.project);
  const ask = (what: string, field: string): string =>
    `${what} isn't allowed for project ${start.project}; an operator can add it to projects.${start.project}.${field} of shard ${shard}`;
  const image = imageOf(start, config);
  // that of a TrainJob may be its runtime's
  if (image === undefined && start.delegated?.kind === "trainjob") return undefined;
  if (image === undefined) return `image: the job names none, nor does its pool or shard ${shard}`;
  const chosen = start.container?.image !== undefined && !start.container.trusted;
  if (chosen && !rules.images.some((one) => matches(one, image))) return ask(`image ${image}`, "images");
  const account = start.container?.serviceAccount;
  if (account !== undefined && !rules.service_accounts.includes(account)) return ask(`service account ${account}`, "service_accounts");
  for (const { at, from } of start.mounts) {
    const volume = from.split("/")[0] as string;
    const spec = config.volumes[volume];
    if (!spec || !rules.volumes.includes(volume)) return ask(`volume ${volume}`, "volumes");
    if ("host_path" in spec && !rules.host_paths.some((path) => inside(path, spec.host_path))) return ask(`host path ${spec.host_path}`, "host_paths");
    if (at === "/" || FORBIDDEN.some((folder) => inside(folder, at))) return `mounts: nothing can be mounted at ${at}`;
    if (from.split("/").includes("..")) return `mounts: ${from} must not contain '..'`;
  }
  if (start.devices.share < 1000 && start.devices.indices.length > 0)
    return "resources.share: shares of a device can't be given on Kubernetes; ask for whole ones";
  if (start.source && "dir" in start.source) return "source.dir: there are no folders to copy on Kubernetes; use git, or a mount";
  if (start.source && config.helper_image === undefined) return `source: shard ${shard} has no helper_image to check it out with`;
  if (start.files.some((file) => /\s|^\/|(^|\/)\.\.(\/|$)/.test(file.path))) return "files: a path must be relative, without spaces and '..'";
  return undefined;
}

function rulesOf(config: KubernetesConfig, project: string): KubernetesProjectRules {
  const [own, all] = [config.projects[project], config.projects["*"]];
  const join = (field: keyof KubernetesProjectRules): string[] => [...(own?.[field] ?? []), ...(all?.[field] ?? [])];
  return { images: join("images"), service_accounts: join("service_accounts"), volumes: join("volumes"), host_paths: join("host_paths") };
}

function matches(pattern: string, image: string): boolean {
  return pattern.endsWith("*") ? image.startsWith(pattern.slice(0, -1)) : image === pattern;
}

function inside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}
