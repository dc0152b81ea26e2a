import type { ClusterView, SettingChange } from "@muster/model";
import { renderFields } from "../table.ts";
import { clean, formatAge, formatBytes } from "../text.ts";
import type { Colours } from "../session.ts";

const DURATIONS = /\.(protected_runtime|usage_half_life|suspect_after|lost_after|brake_release)$|^retention\.(jobs|events|logs)$/;

/** Who the cluster is, whether it starts work, and every setting; those that were put are marked. */
export function renderCluster(cluster: ClusterView, now: number, colours: Colours): string {
  const declared = new Set(flatten(cluster.declared).map(([path]) => path));
  const head = renderFields([
    ["cluster", cluster.id],
    ["incarnation", cluster.incarnation],
    ["starts", cluster.starts_paused ? colours.yellow(`paused: ${clean(cluster.starts_paused_reason ?? "asked")}`) : "on"],
    ["brake", cluster.brake ? colours.yellow(`on for ${formatAge(cluster.brake.since, now)}, see muster incidents --open (${cluster.brake.incident})`) : "off"],
    ["settings", `version ${cluster.version}; ${declared.size > 0 ? "* was put, all else is the default" : "all are the default"}`],
  ]);
  const lines = flatten(cluster.settings).map(([path, value]): [string, string] => [path, `${describeSetting(path, value)}${declared.has(path) ? " *" : ""}`]);
  return `${head}\n${renderFields(lines)}`;
}

export function describeChange({ path, from, to }: SettingChange): string {
  const told = (value: unknown): string => (value === undefined ? "nothing" : describeSetting(path, value));
  return `${clean(path)}: ${told(from)} -> ${told(to)}`;
}

function describeSetting(path: string, value: unknown): string {
  if (value === null) return "no limit";
  if (typeof value === "number" && DURATIONS.test(path)) return describeSeconds(value);
  if (typeof value === "number" && path === "retention.logs_total") return formatBytes(value);
  return clean(typeof value === "string" ? value : JSON.stringify(value));
}

/** In the largest unit that divides it, as settings take it: 90s, 10m, 180d. */
function describeSeconds(seconds: number): string {
  const unit = (
    [
      ["d", 86_400],
      ["h", 3600],
      ["m", 60],
    ] as const
  ).find(([, size]) => seconds >= size && seconds % size === 0);
  return unit ? `${seconds / unit[1]}${unit[0]}` : `${seconds}s`;
}

/** Every setting by its path; a rule by its id. */
function flatten({ rules = [], ...settings }: ClusterView["declared"]): [string, unknown][] {
  const named = Object.entries(settings).flatMap(([section, values]) =>
    Object.entries(values ?? {}).map(([key, value]): [string, unknown] => [`${section}.${key}`, value]),
  );
  return [...named, ...rules.map(({ id, ...rule }): [string, unknown] => [`rules.${id}`, rule])];
}
