import { jobSpec, type LauncherSpec, type ParallelismSpec, type ParsedJobSpec, type RoleSpec } from "./spec.ts";
import { fieldErrors, type FieldError } from "./field-error.ts";
import { validateResolved } from "./validate.ts";

/** One role of one variant with everything filled in. `nodes` is a range; a rigid role has min = max. */
export interface ResolvedRole {
  name: string;
  accelerator?: string;
  pool?: string;
  image?: string;
  launcher: LauncherSpec;
  nodes: { min: number; max: number; step: number };
  resources: {
    /** Whole devices a node; 0 where `share` is given or none is needed. */
    accelerators: number;
    /** Share of one device in thousandths; 0 where whole devices are asked. */
    share: number;
    cpus: number;
    /** Bytes. */
    memory: number;
    shm?: number;
    ephemeral_storage?: number;
  };
  /** Processes a node. */
  ranks_per_node: number;
  run: string[];
  env: Record<string, string>;
  parallelism?: ParallelismSpec;
}

export interface ResolvedVariant {
  index: number;
  throughput?: number;
  roles: ResolvedRole[];
}

type Dropped = "accelerator" | "pool" | "image" | "launcher" | "nodes" | "resources" | "run" | "env" | "parallelism" | "roles" | "variants";

/** A job spec with variants merged and defaults shown; what is stored and what everything after the API reads. */
export interface ResolvedJobSpec extends Omit<ParsedJobSpec, Dropped> {
  variants: ResolvedVariant[];
}

export type ParseResult<T> = { ok: true; value: T } | { ok: false; errors: FieldError[] };

const DEFAULT_CPUS = 1;
const DEFAULT_MEMORY = 1 << 30;

/** Parses, merges and checks a submitted spec. Pure: what the cluster knows (queues, pools) is checked elsewhere. */
export function resolveJobSpec(submitted: unknown): ParseResult<ResolvedJobSpec> {
  const parsed = jobSpec.safeParse(submitted);
  if (!parsed.success) return { ok: false, errors: fieldErrors(parsed.error, jobSpec) };
  const { accelerator, pool, image, launcher, nodes, resources, run, env, parallelism, roles, variants, ...rest } = parsed.data;
  const base: RoleSpec = { accelerator, pool, image, launcher, nodes, resources, run, env, parallelism };
  const names = roles ? Object.keys(roles) : ["worker"];
  const resolved: ResolvedJobSpec = {
    ...rest,
    variants: (variants ?? [{}]).map((variant, index) => {
      const { roles: variantRoles, throughput, ...overlay } = variant;
      return {
        index,
        ...(throughput !== undefined && { throughput }),
        roles: names.map((role) => completeRole(role, [base, roles?.[role], overlay, variantRoles?.[role]])),
      };
    }),
  };
  const errors = validateResolved(resolved, parsed.data);
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value: resolved };
}

/** Later layers win; `env` and `resources` are merged by key, everything else is replaced. */
function completeRole(name: string, layers: (RoleSpec | undefined)[]): ResolvedRole {
  const merged: RoleSpec = {};
  for (const layer of layers) {
    if (!layer) continue;
    for (const [key, value] of Object.entries(layer)) {
      if (value === undefined) continue;
      if (key === "env") merged.env = { ...merged.env, ...layer.env };
      else if (key === "resources") {
        const { accelerators, share, ...others } = { ...merged.resources };
        // whole devices and a share exclude each other: the later layer decides which it is
        const devices = layer.resources?.share !== undefined || layer.resources?.accelerators !== undefined ? {} : { accelerators, share };
        merged.resources = { ...others, ...devices, ...layer.resources };
      } else Object.assign(merged, { [key]: value });
    }
  }
  const launcher = merged.launcher ?? { kind: "exec" as const, args: [] };
  const nodes = merged.nodes ?? 1;
  const share = Math.round((merged.resources?.share ?? 0) * 1000);
  const accelerators = merged.resources?.accelerators ?? 0;
  return {
    name,
    ...(merged.accelerator !== undefined && { accelerator: merged.accelerator }),
    ...(merged.pool !== undefined && { pool: merged.pool }),
    ...(merged.image !== undefined && { image: merged.image }),
    launcher,
    nodes: typeof nodes === "number" ? { min: nodes, max: nodes, step: 1 } : nodes,
    resources: {
      accelerators,
      share,
      cpus: merged.resources?.cpus ?? DEFAULT_CPUS,
      memory: merged.resources?.memory ?? DEFAULT_MEMORY,
      ...(merged.resources?.shm !== undefined && { shm: merged.resources.shm }),
      ...(merged.resources?.ephemeral_storage !== undefined && { ephemeral_storage: merged.resources.ephemeral_storage }),
    },
    ranks_per_node: launcher.ranks_per_node ?? (launcher.kind === "exec" ? 1 : Math.max(1, accelerators)),
    run: merged.run ?? [],
    env: merged.env ?? {},
    ...(merged.parallelism && { parallelism: merged.parallelism }),
  };
}

/** Ranks of a role at a size. */
export function worldSize(role: ResolvedRole, nodes: number): number {
  return nodes * role.ranks_per_node;
}
