import type { QueueSpec, ResolvedJobSpec, ResolvedRole } from "@muster/model";
import type { JobInput, QueueInput, QuotaInput, ResourcesInput, RoleInput, SegmentInput, VariantInput } from "@muster/placement";

/* What a spec asks and what is registered → what the placement engine takes. Pure. */

/** Both lists go from the outermost level inwards. Inner names may repeat: the engine goes by whole paths. */
export function fabricOf(names: readonly string[], levels: readonly string[]): Record<string, string> {
  const fabric: Record<string, string> = {};
  for (const [index, level] of levels.entries()) {
    if (index < names.length && level !== "node") fabric[level] = names[index] as string;
  }
  return fabric;
}

/** A queue as it was put. */
export interface QueueDefinition {
  name: string;
  parent: string | null;
  paused: boolean;
  spec: Partial<QueueSpec>;
}

/** A quota is named by an accelerator model that some pool has, by a pool, or is `cpus` (in cpus) or `memory` (in bytes). */
export function queueInput(row: QueueDefinition, pools: Iterable<{ accelerator: string }>): QueueInput {
  const {
    nominal = {},
    borrow_limit: borrow = {},
    lend_limit: lend = {},
    limit = {},
    guarantee = {},
    weight,
    order,
    reclaim,
    within_queue: withinQueue,
  } = row.spec;
  const models = new Set<string>();
  for (const pool of pools) models.add(pool.accelerator);
  const names = [...new Set([...Object.keys(nominal), ...Object.keys(borrow), ...Object.keys(lend), ...Object.keys(limit), ...Object.keys(guarantee)])].sort();
  const quotas = names.map((name): QuotaInput => {
    const scale = name === "memory" ? 1 : 1000;
    const amount = (of: Record<string, number>): number | undefined => (of[name] === undefined ? undefined : Math.round(of[name] * scale));
    const [nominalAmount, borrowLimit, lendLimit, most, kept] = [amount(nominal), amount(borrow), amount(lend), amount(limit), amount(guarantee)];
    return {
      ...(name === "cpus" || name === "memory"
        ? { resource: name }
        : { resource: "accelerators", ...(models.has(name) ? { accelerator: name } : { pool: name }) }),
      ...(nominalAmount !== undefined && { nominal: nominalAmount }),
      ...(borrowLimit !== undefined && { borrowLimit }),
      ...(lendLimit !== undefined && { lendLimit }),
      ...(most !== undefined && { limit: most }),
      ...(kept !== undefined && { guarantee: kept }),
    };
  });
  return {
    id: row.name,
    ...(row.parent !== null && { parent: row.parent }),
    ...(quotas.length > 0 && { quotas }),
    ...(weight !== undefined && { weight }),
    ...(order && { order }),
    ...(reclaim && { reclaim }),
    ...(withinQueue && { withinQueue }),
    paused: row.paused,
  };
}

/** All of a spec that placement and starting need; times in milliseconds. */
export interface SpecInput {
  roles: readonly RoleInput[];
  variants: readonly VariantInput[];
  variantPolicy: ResolvedJobSpec["variant_policy"];
  /** Jobs of one class run for like times and at like speeds. */
  jobClass: string;
  segments: readonly SegmentInput[];
  within?: JobInput["within"];
  parallelism?: JobInput["parallelism"];
  checkpoint: { grace: number; interval?: number; writes: boolean };
  expectedDuration?: number;
  timeLimit?: number;
  /** Processes a node, by variant and role. */
  ranksPerNode: readonly Readonly<Record<string, number>>[];
}

/** The rest of a spec (commands, environments) need not be kept in memory. */
export function specInput(spec: ResolvedJobSpec): SpecInput {
  const first = spec.variants[0];
  if (!first) throw new Error("variants: the resolved spec has none");
  const uniform = spec.variants.every((variant) =>
    variant.roles.every((role) => role.accelerator === variant.roles[0]?.accelerator && role.pool === variant.roles[0]?.pool),
  );
  const parallelism = first.roles.find((role) => role.parallelism)?.parallelism;
  return {
    roles: first.roles.map((role) => ({
      name: role.name,
      nodes: role.nodes,
      resources: resources(role),
      // roles on different hardware choose theirs one by one; else the variant says it for all
      ...(!uniform && choices("accelerators", spec, role.name, (one) => one.accelerator)),
      ...(!uniform && choices("pools", spec, role.name, (one) => one.pool)),
    })),
    variants: spec.variants.map((variant) => {
      const only = variant.roles[0];
      return {
        ...(uniform && only?.accelerator !== undefined && { accelerators: [only.accelerator] }),
        ...(uniform && only?.pool !== undefined && { pools: [only.pool] }),
        ...(!uniform &&
          unionOf(
            "accelerators",
            variant.roles.map((role) => role.accelerator),
          )),
        ...(!uniform &&
          unionOf(
            "pools",
            variant.roles.map((role) => role.pool),
          )),
        ...(variant.throughput !== undefined && { throughput: variant.throughput }),
        ...(variant.index > 0 && { roles: Object.fromEntries(variant.roles.map((role) => [role.name, { resources: resources(role), nodes: role.nodes }])) }),
      };
    }),
    variantPolicy: spec.variant_policy,
    jobClass: classOf(spec),
    segments: spec.topology.segments.flatMap((segment) => first.roles.flatMap((role) => segmentOf(segment, role, first.roles.length > 1))),
    ...(spec.topology.job && { within: spec.topology.job }),
    ...(parallelism && { parallelism: withoutUndefined(parallelism) }),
    checkpoint: {
      grace: spec.checkpoint.grace * 1000,
      ...(spec.checkpoint.interval !== undefined && { interval: spec.checkpoint.interval * 1000 }),
      writes: writesCheckpoints(spec.checkpoint),
    },
    ...(spec.expected_duration !== undefined && { expectedDuration: spec.expected_duration * 1000 }),
    ...(spec.time_limit !== undefined && { timeLimit: spec.time_limit * 1000 }),
    ranksPerNode: spec.variants.map((variant) => Object.fromEntries(variant.roles.map((role) => [role.name, role.ranks_per_node]))),
  };
}

/** Runs of one project that are named alike but for numbers, and are as large. */
export function classOf(spec: ResolvedJobSpec): string {
  const size = spec.variants[0]?.roles.map(({ nodes, resources: { accelerators, share } }) => `${nodes.max}x${accelerators + share / 1000}`).join("+");
  return `${spec.project}/${spec.name.replace(/\d+/g, "#")}/${size}`;
}

/** Whether the spec tells how it checkpoints; one that does so without saying is known by its first commit. */
function writesCheckpoints({ dir, interval, signal, committed, marker }: ResolvedJobSpec["checkpoint"]): boolean {
  return [dir, interval, signal, committed, marker].some((said) => said !== undefined);
}

function resources({ resources: asked }: ResolvedRole): ResourcesInput {
  return { accelerators: asked.accelerators, share: asked.share, cpuMillis: Math.round(asked.cpus * 1000), memoryBytes: asked.memory };
}

function choices<K extends string>(
  key: K,
  spec: ResolvedJobSpec,
  role: string,
  pick: (role: ResolvedRole) => string | undefined,
): Partial<Record<K, string[]>> {
  return unionOf(
    key,
    spec.variants.map((variant) => variant.roles.find((one) => one.name === role)).map((one) => one && pick(one)),
  );
}

/** Nothing where one of them is free to choose. */
function unionOf<K extends string>(key: K, names: readonly (string | undefined)[]): Partial<Record<K, string[]>> {
  if (names.some((name) => name === undefined)) return {};
  return { [key]: [...new Set(names as string[])] } as Partial<Record<K, string[]>>;
}

/** The spec counts processes; the engine counts devices, and one for a member that has none. */
function segmentOf(segment: ResolvedJobSpec["topology"]["segments"][number], role: ResolvedRole, named: boolean): SegmentInput[] {
  const nodes = segment.ranks / role.ranks_per_node;
  if (nodes <= 1) return [];
  return [{ ranks: nodes * Math.max(1, role.resources.accelerators), within: segment.within, mode: segment.mode, ...(named && { role: role.name }) }];
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
}
