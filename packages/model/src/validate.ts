import { referenceErrors, WORKER_VARIABLES } from "./expand.ts";
import type { FieldError } from "./field-error.ts";
import type { ResolvedJobSpec, ResolvedRole } from "./resolve.ts";
import { delegatedTo, type ParsedJobSpec } from "./spec.ts";

/** Checks that span fields. Paths name the field in what was submitted. */
export function validateResolved(spec: ResolvedJobSpec, submitted: ParsedJobSpec): FieldError[] {
  const errors: FieldError[] = [];
  const add = (path: string, message: string): void => {
    if (!errors.some((error) => error.path === path && error.message === message)) errors.push({ path, message });
  };
  if (submitted.roles) {
    if (Object.keys(submitted.roles).length === 0) add("roles", "expected at least one role");
    for (const [index, variant] of (submitted.variants ?? []).entries()) {
      for (const role of Object.keys(variant.roles ?? {})) {
        if (!submitted.roles[role]) add(`variants[${index}].roles.${role}`, `no such role; roles are ${Object.keys(submitted.roles).join(", ")}`);
      }
    }
  } else if (submitted.variants?.some((variant) => variant.roles)) {
    add("variants", "names roles, but the job has none; add roles, or put the fields on the variant itself");
  }
  for (const variant of spec.variants) {
    for (const role of variant.roles) checkRole(role, spec, submitted, variant.index, add);
  }
  for (const [index, dependency] of spec.after.entries()) {
    if (dependency.job === spec.name) add(`after[${index}].job`, "a job can't wait for itself: this is a cycle");
  }
  if (spec.array?.limit !== undefined && spec.array.limit > spec.array.count) add("array.limit", `is more than array.count (${spec.array.count})`);
  if (spec.start_after && spec.deadline && Date.parse(spec.start_after) >= Date.parse(spec.deadline)) add("deadline", "is not after start_after");
  const envs = new Set<string>();
  for (const [index, secret] of spec.secrets.entries()) {
    if (envs.has(secret.env)) add(`secrets[${index}].env`, `${secret.env} is given twice`);
    envs.add(secret.env);
  }
  return errors;
}

function checkRole(role: ResolvedRole, spec: ResolvedJobSpec, submitted: ParsedJobSpec, variant: number, add: (path: string, message: string) => void): void {
  const at = (field: string): string => {
    const head = field.split(/[.[]/)[0] as keyof ParsedJobSpec & keyof NonNullable<ParsedJobSpec["variants"]>[number];
    if (submitted.variants?.[variant]?.[head] !== undefined) return `variants[${variant}].${field}`;
    if (submitted.roles?.[role.name]?.[head as keyof object] !== undefined || (submitted.roles && submitted[head] === undefined))
      return `roles.${role.name}.${field}`;
    return field;
  };
  const { nodes, resources } = role;
  checkDelegation(role, spec, (field, message) => add(at(field), message));
  for (const error of referenceErrors(role.run, role.env)) add(at(error.path), error.message);
  if (spec.preflight && spec.preflight.run !== "pairwise")
    for (const error of referenceErrors(spec.preflight.run, role.env)) if (error.path.startsWith("run")) add(`preflight.${error.path}`, error.message);
  if (spec.preflight?.run === "pairwise" && role.launcher.kind !== "torchrun")
    add("preflight.run", `pairwise is for launcher torchrun, and role ${role.name} has ${role.launcher.kind}; give a check of your own as a list of words`);
  if (role.run.length === 0) add(at("run"), "is missing: give the command as a list, such as [python3, train.py]");
  if (nodes.min > nodes.max) add(at("nodes.min"), `is more than nodes.max (${nodes.max})`);
  else if ((nodes.max - nodes.min) % nodes.step !== 0)
    add(at("nodes.step"), `does not lead from min ${nodes.min} to max ${nodes.max}; max - min must be a multiple of step`);
  if (resources.share > 0 && resources.accelerators > 0)
    add(at("resources.share"), "can't be given together with accelerators: ask for whole devices, or for a share of one");
  if (role.accelerator !== undefined && role.accelerator !== "cpu" && resources.share === 0 && resources.accelerators === 0) {
    add(at("resources.accelerators"), `is missing, though accelerator ${role.accelerator} is asked for; give devices a node, or a share of one`);
  }
  if (resources.shm !== undefined && resources.shm > resources.memory) add(at("resources.shm"), "is more than resources.memory, which it is part of");
  const devices = Math.max(1, resources.accelerators);
  if (role.launcher.kind !== "exec" && resources.accelerators > 0 && role.ranks_per_node > devices && role.ranks_per_node % devices !== 0) {
    add(at("launcher.ranks_per_node"), `expected a multiple of the ${devices} devices of a node`);
  }
  for (const [index, segment] of spec.topology.segments.entries()) {
    const path = `topology.segments[${index}].ranks`;
    const perNode = role.ranks_per_node;
    if (segment.ranks % perNode !== 0 && perNode % segment.ranks !== 0) {
      add(path, `${segment.ranks} ranks don't divide into whole nodes of ${perNode} ranks; use a multiple or a divisor of ${perNode}`);
      continue;
    }
    for (const size of nodes.min === nodes.max ? [nodes.min] : [nodes.min, nodes.max, nodes.min + nodes.step]) {
      const world = size * perNode;
      if (size <= nodes.max && world % segment.ranks !== 0) {
        add(path, `the world size ${world} (${size} nodes x ${perNode} ranks) isn't divided by ${segment.ranks}; ${suggestSegment(world, segment.ranks)}`);
        break;
      }
    }
  }
  const p = role.parallelism;
  if (p) {
    const product = (p.tp ?? 1) * (p.pp ?? 1) * (p.cp ?? 1) * (p.dp ?? 1);
    const world = nodes.min * role.ranks_per_node;
    if (p.dp !== undefined && nodes.min === nodes.max && product !== world) {
      add(at("parallelism"), `tp x pp x cp x dp = ${product}, but the job has ${world} ranks (${nodes.min} nodes x ${role.ranks_per_node})`);
    } else if (p.dp === undefined && world % product !== 0) {
      add(at("parallelism"), `tp x pp x cp = ${product} doesn't divide the ${world} ranks of the job`);
    }
  }
}

function suggestSegment(world: number, ranks: number): string {
  let below = ranks;
  while (below > 1 && world % below !== 0) below--;
  let above = ranks;
  while (above < world && world % above !== 0) above++;
  const fits = [...new Set([below, above])].filter((n) => n <= world && world % n === 0);
  return `${fits.join(" or ")} would fit`;
}

/** An operator starts its own pods: what Muster does inside a worker, it can't do there. */
function checkDelegation(role: ResolvedRole, spec: ResolvedJobSpec, add: (field: string, message: string) => void): void {
  const { kind, args, runtime } = role.launcher;
  if (runtime !== undefined && kind !== "trainjob") add("launcher.runtime", "is of a trainjob only");
  if (delegatedTo(role.launcher) === undefined) return;
  const no = (field: string, given: boolean): void => {
    if (given) add(field, `is not possible with launcher ${kind}: its operator starts the pods; put it into the image, or use another launcher`);
  };
  no("source", spec.source !== undefined);
  no("workdir", spec.workdir !== undefined);
  no("secrets", spec.secrets.length > 0);
  no("mounts", spec.mounts.length > 0);
  no("preflight", spec.preflight !== undefined);
  no(
    "checkpoint",
    ["dir", "interval", "signal", "committed", "marker"].some((field) => spec.checkpoint[field as keyof typeof spec.checkpoint] !== undefined),
  );
  no("launcher.args", args.length > 0);
  no("resources.share", role.resources.share > 0);
  no(
    "roles",
    spec.variants.some((variant) => variant.roles.length > 1),
  );
  for (const [field, text] of [
    ...role.run.map((word, index) => [`run[${index}]`, word] as const),
    ...Object.entries(role.env).map(([name, value]) => [`env.${name}`, value] as const),
  ]) {
    const name = WORKER_VARIABLES.find((one) => text.includes(`\${${one}}`));
    if (name !== undefined)
      add(field, `\${${name}} differs from worker to worker, and with launcher ${kind} all are given the same; use the operator's own variable`);
  }
}
