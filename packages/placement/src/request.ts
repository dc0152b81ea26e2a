import { makeShape, type Shape } from "./counts.ts";
import type { Layer } from "./gang.ts";
import type { JobInput, ParallelismInput, ResourcesInput, RoleInput, SegmentInput } from "./job-input.ts";
import type { Levels } from "./levels.ts";
import { checkParallelism } from "./parallel-groups.ts";

export interface ResolvedRole {
  name: string;
  shape: Shape;
  min: number;
  max: number;
  step: number;
  layers: Layer[];
  parallelism: ParallelismInput | null;
  /** Its own restriction to hardware; such a role chooses its pool apart from the others. */
  accelerators: readonly string[] | null;
  pools: readonly string[] | null;
}

export interface ResolvedVariant {
  /** As numbered in the job's spec. */
  index: number;
  roles: ResolvedRole[];
  accelerators: readonly string[] | null;
  pools: readonly string[] | null;
  /** Null: not said. */
  throughput: number | null;
}

/** All of a job that decides where it fits. Jobs with equal requests share one and succeed or fail together. */
export interface Request {
  key: string;
  variants: ResolvedVariant[];
  /** Level that the whole gang should stay in, the root where nothing is asked. */
  within: number;
  withinRequired: boolean;
  excludedNodes: readonly string[];
  preferredNodes: readonly string[];
  policy: NonNullable<JobInput["variantPolicy"]>;
  /** Where the policy goes by it. */
  jobClass: string | undefined;
}

function check(ok: boolean, field: string, problem: string): void {
  if (!ok) throw new Error(`${field}: ${problem}`);
}

function wholeNumber(value: number, least: number): boolean {
  return Number.isSafeInteger(value) && value >= least;
}

/** Whether it may be stopped and goes on later from where it was. */
export function canCheckpoint(job: JobInput): boolean {
  return job.preemptible && job.checkpoint !== undefined && job.checkpoint.writes !== false;
}

/** Durations of one bucket are treated alike, so that jobs with many different limits still share requests. */
function durationBucket(duration: number | undefined): number {
  return duration === undefined ? -1 : Math.ceil(Math.log2(Math.max(1, duration)));
}

/**
 * Text that is equal for jobs that fit in the same places at the same time; `windows` name the job itself, and `seen` is
 * how long jobs of its class ran.
 */
export function requestKey(job: JobInput, windows: readonly string[], seen: number | null): string {
  return JSON.stringify([
    job.roles,
    job.variants ?? 0,
    job.variantPolicy ?? 0,
    job.stickyVariant ?? -1,
    job.segments ?? 0,
    job.within ?? 0,
    job.parallelism ?? 0,
    job.excludedNodes ?? 0,
    job.preferredNodes ?? 0,
    // Only these choose by what their own class has shown.
    job.variantPolicy === "fastest" || job.variantPolicy === "cheapest" ? job.jobClass : 0,
    durationBucket(job.expectedDuration ?? seen ?? undefined),
    durationBucket(job.timeLimit),
    job.preemptible,
    canCheckpoint(job),
    windows,
  ]);
}

/** Checks a job and resolves its variants. Throws an Error whose message begins with the field. */
export function resolveRequest(job: JobInput, levels: Levels, key: string): Request {
  check(job.roles.length > 0, "roles", "a job needs at least one role");
  check(new Set(job.roles.map((role) => role.name)).size === job.roles.length, "roles", "role names must differ");
  if (job.parallelism !== undefined) checkParallelism(job.parallelism);
  const given = job.variants === undefined || job.variants.length === 0 ? [{}] : job.variants;
  const variants: ResolvedVariant[] = given.map((variant, index) => ({
    index,
    roles: job.roles.map((role) => resolveRole(job, role, variant.roles?.[role.name], levels)),
    accelerators: variant.accelerators ?? null,
    pools: variant.pools ?? null,
    throughput: variant.throughput ?? null,
  }));
  let allowed = variants;
  if (job.stickyVariant !== undefined) {
    const sticky = variants[job.stickyVariant];
    check(sticky !== undefined, "stickyVariant", `there are ${variants.length} variants`);
    allowed = [sticky!];
  }
  return {
    key,
    variants: allowed,
    within: job.within === undefined ? levels.root : levels.find(job.within.within),
    withinRequired: job.within?.mode === "required",
    excludedNodes: job.excludedNodes ?? [],
    preferredNodes: job.preferredNodes ?? [],
    policy: job.variantPolicy ?? "ordered",
    jobClass: job.jobClass,
  };
}

function resolveRole(
  job: JobInput,
  role: RoleInput,
  overlay: { resources?: ResourcesInput; nodes?: RoleInput["nodes"] } | undefined,
  levels: Levels,
): ResolvedRole {
  const at = `roles.${role.name}`;
  const nodes = overlay?.nodes ?? role.nodes;
  const asked = { ...role.resources, ...overlay?.resources };
  const step = nodes.step ?? 1;
  check(wholeNumber(nodes.min, 1) && wholeNumber(nodes.max, nodes.min), `${at}.nodes`, "needs whole numbers 1 <= min <= max");
  check(wholeNumber(step, 1) && (nodes.max - nodes.min) % step === 0, `${at}.nodes.step`, "max - min must be a multiple of step");
  const devices = asked.accelerators ?? 0;
  const share = asked.share ?? 0;
  check(wholeNumber(devices, 0), `${at}.resources.accelerators`, "must be a whole number of devices");
  check(wholeNumber(share, 0) && share < 1000, `${at}.resources.share`, "must be 1 to 999 thousandths of a device");
  check(devices === 0 || share === 0, `${at}.resources`, "asks for whole devices or for a share of one, not both");
  const cpuMillis = asked.cpuMillis ?? 0;
  const memoryBytes = asked.memoryBytes ?? 0;
  check(cpuMillis >= 0 && Number.isFinite(cpuMillis), `${at}.resources.cpuMillis`, "must not be negative");
  check(memoryBytes >= 0 && Number.isFinite(memoryBytes), `${at}.resources.memoryBytes`, "must not be negative");
  const shape = makeShape({ devices, share, cpuMillis, memoryBytes, distinct: role.colocate !== true });
  const layers = resolveLayers(job.segments ?? [], role.name, devices, nodes, step, levels);
  return {
    name: role.name,
    shape,
    min: nodes.min,
    max: nodes.max,
    step,
    layers,
    parallelism: job.parallelism ?? null,
    accelerators: role.accelerators ?? null,
    pools: role.pools ?? null,
  };
}

function resolveLayers(
  segments: readonly SegmentInput[],
  role: string,
  devices: number,
  nodes: { min: number; max: number },
  step: number,
  levels: Levels,
): Layer[] {
  const layers: Layer[] = [];
  for (const [i, segment] of segments.entries()) {
    if (segment.role !== undefined && segment.role !== role) continue;
    const at = `segments[${i}].ranks`;
    check(wholeNumber(segment.ranks, 1), at, "must be a whole number of ranks");
    const level = levels.find(segment.within);
    const perMember = Math.max(devices, 1);
    // Ranks of one member are on one node anyway.
    if (perMember % segment.ranks === 0) continue;
    check(segment.ranks % perMember === 0, at, `${segment.ranks} ranks do not fill nodes of ${perMember} devices`);
    const size = segment.ranks / perMember;
    check(nodes.max % size === 0, at, `${nodes.max * perMember} ranks of role "${role}" are not a multiple of ${segment.ranks}`);
    check(nodes.min === nodes.max || (nodes.min % size === 0 && step % size === 0), at, `an elastic role must grow in whole segments of ${size} nodes`);
    layers.push({ size, level, required: segment.mode === "required" });
  }
  layers.sort((a, b) => a.size - b.size || a.level - b.level);
  for (let i = 1; i < layers.length; i++) {
    check(layers[i]!.size % layers[i - 1]!.size === 0, "segments", `a segment of ${layers[i]!.size} nodes is not a multiple of one of ${layers[i - 1]!.size}`);
  }
  return layers;
}

/** Largest member count first, down to the least that the role accepts. */
export function* memberCounts(role: ResolvedRole): Generator<number> {
  for (let members = role.max; members >= role.min; members -= role.step) yield members;
}

/** The role whose pool is chosen first; all without a restriction of their own go there. */
export function leadingRole(variant: ResolvedVariant): ResolvedRole {
  return variant.roles.find((role) => role.accelerators === null && role.pools === null) ?? variant.roles[0]!;
}

/** Whether a role chooses its hardware apart from the others, which go where the leading one goes. */
export function choosesItself(variant: ResolvedVariant, role: ResolvedRole): boolean {
  return role !== leadingRole(variant) && (role.accelerators !== null || role.pools !== null);
}
