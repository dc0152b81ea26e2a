/*
 * References in `run` and `env`: `${NAME}` stands for a variable of Muster or for a name of the job's `env`, `$$` for a
 * dollar; all else, `$HOME` and `${HOME}` too, stays as it is. Expansion has two steps, because some variables are known
 * only where the worker runs: the launcher replaces what it knows (`expandKnown`) and leaves `$$` alone, the engine
 * finishes (`expand`). Each `$$` is so read once, and a value never expands again.
 */

/** Variables that the engine knows and adds to a worker's environment; the launcher leaves references to them alone. */
export const ENGINE_VARIABLES = [
  "MUSTER_DIR",
  "MUSTER_SHARED_DIR",
  "MUSTER_CHECKPOINT_DIR",
  "MUSTER_RESUME_FROM",
  "MUSTER_PROGRESS_FILE",
  "MUSTER_CONTROL_FILE",
  "MUSTER_TOKEN_FILE",
] as const;
export type EngineVariable = (typeof ENGINE_VARIABLES)[number];

/** Variables that the launcher knows and puts into a worker's environment. */
export const LAUNCHER_VARIABLES = [
  "MUSTER_JOB_ID",
  "MUSTER_JOB_NAME",
  "MUSTER_PROJECT",
  "MUSTER_INCARNATION",
  "MUSTER_ATTEMPT",
  "MUSTER_ROLE",
  "MUSTER_NODE",
  "MUSTER_NODE_RANK",
  "MUSTER_NODE_COUNT",
  "MUSTER_RANKS_PER_NODE",
  "MUSTER_WORLD_SIZE",
  "MUSTER_FIRST_RANK",
  "MUSTER_MASTER_ADDR",
  "MUSTER_MASTER_PORT",
  "MUSTER_RESUME_REASON",
  "MUSTER_ARRAY_INDEX",
  "MUSTER_API",
] as const;
export type LauncherVariable = (typeof LAUNCHER_VARIABLES)[number];

/** Those that only workers have which Muster starts itself. */
export const WORKER_VARIABLES: readonly (EngineVariable | LauncherVariable)[] = [
  ...ENGINE_VARIABLES,
  "MUSTER_NODE",
  "MUSTER_NODE_RANK",
  "MUSTER_FIRST_RANK",
  "MUSTER_MASTER_ADDR",
  "MUSTER_MASTER_PORT",
];

const REFERENCE = /\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g;

/** The last step: replaces the names that `vars` has and turns `$$` into a dollar. Inserted values are not read again. */
export function expand(text: string, vars: Readonly<Record<string, string>>): string {
  return text.replace(REFERENCE, (reference, name: string | undefined) => {
    if (name === undefined) return "$";
    return Object.hasOwn(vars, name) ? (vars[name] as string) : reference;
  });
}

/** An earlier step: replaces the names that `templates` has by text that is still to be expanded; leaves `$$` as it is. */
export function expandKnown(text: string, templates: Readonly<Record<string, string>>): string {
  return text.replace(REFERENCE, (reference, name: string | undefined) =>
    name !== undefined && Object.hasOwn(templates, name) ? (templates[name] as string) : reference,
  );
}

/** Text that `expand` turns back into exactly this text. */
export function literal(text: string): string {
  return text.replaceAll("$", "$$$$");
}

/**
 * Replaces what `known` has, and the names of `env` among each other, in the values of `env`. The result is still to be
 * expanded. A reference that leads back to itself is text (`referenceErrors` refuses it before).
 */
export function expandEnv(env: Readonly<Record<string, string>>, known: Readonly<Record<string, string>>): Record<string, string> {
  const done: Record<string, string> = {};
  const open = new Set<string>();
  const visit = (name: string): string => {
    if (Object.hasOwn(done, name)) return done[name] as string;
    if (open.has(name)) return literal(`\${${name}}`);
    open.add(name);
    const value = (env[name] as string).replace(REFERENCE, (reference, other: string | undefined) => {
      if (other === undefined) return reference;
      if (Object.hasOwn(known, other)) return known[other] as string;
      return Object.hasOwn(env, other) ? visit(other) : reference;
    });
    open.delete(name);
    done[name] = value;
    return value;
  };
  return Object.fromEntries(Object.keys(env).map((name) => [name, visit(name)]));
}

/** What is wrong with the references of a role: a variable of Muster that does not exist, an `env` value that leads back to itself. */
export function referenceErrors(run: readonly string[], env: Readonly<Record<string, string>>): { path: string; message: string }[] {
  const errors: { path: string; message: string }[] = [];
  const exists = new Set<string>([...ENGINE_VARIABLES, ...LAUNCHER_VARIABLES, ...Object.keys(env)]);
  const check = (path: string, text: string): void => {
    for (const name of references(text)) {
      if (name.startsWith("MUSTER_") && !exists.has(name))
        errors.push({ path, message: `there is no variable ${name}; write $\${${name}} for the text itself` });
    }
  };
  for (const [index, word] of run.entries()) check(`run[${index}]`, word);
  for (const [name, value] of Object.entries(env)) {
    check(`env.${name}`, value);
    if (reaches(name, name, env, new Set()))
      errors.push({ path: `env.${name}`, message: `refers to itself through \${${name}}; write $\${${name}} for the text itself` });
  }
  return errors;
}

function references(text: string): string[] {
  return [...text.matchAll(REFERENCE)].flatMap((match) => (match[1] === undefined ? [] : [match[1]]));
}

function reaches(from: string, to: string, env: Readonly<Record<string, string>>, seen: Set<string>): boolean {
  if (!Object.hasOwn(env, from) || seen.has(from)) return false;
  seen.add(from);
  return references(env[from] as string).some((name) => name === to || reaches(name, to, env, seen));
}
