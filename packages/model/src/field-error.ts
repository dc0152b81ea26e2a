import type { z } from "zod";

/** One thing wrong with an input: the field's path (`topology.segments[0].ranks`; "" for the whole) and what would be right. */
export interface FieldError {
  path: string;
  message: string;
}

export function formatPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) text += typeof part === "number" ? `[${part}]` : text === "" ? String(part) : `.${String(part)}`;
  return text;
}

/** How other systems call what is meant. */
const SYNONYMS: Readonly<Record<string, string>> = {
  cmd: "run",
  command: "run",
  environment: "env",
  gpu: "accelerators",
  gpus: "accelerators",
  npus: "accelerators",
  replicas: "nodes",
  script: "run",
  timeout: "time_limit",
  walltime: "time_limit",
};

/** The issues of a failed parse as field errors, with the nearest known name for each unknown field. */
export function fieldErrors(error: z.ZodError, schema?: z.ZodType): FieldError[] {
  const known = schema ? knownKeys(schema) : [];
  return error.issues.flatMap((issue) => flatten(issue, known));
}

function flatten(issue: z.core.$ZodIssue, known: readonly string[]): FieldError[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const near = [SYNONYMS[key], nearest(key, known)].find((word) => word !== undefined && known.includes(word));
      return {
        path: formatPath([...issue.path, key]),
        message: near ? `unknown field; did you mean ${near}?` : "unknown field; remove it or check its spelling",
      };
    });
  }
  if (issue.code === "invalid_union") {
    // of several alternatives, the one that came furthest tells most
    const inner = issue.errors.filter((branch) => branch.some((one) => one.path.length > 0 || one.code === "unrecognized_keys" || one.code === "custom"));
    const best = inner.sort((a, b) => a.length - b.length)[0];
    if (best) return best.flatMap((one) => flatten({ ...one, path: [...issue.path, ...one.path] }, known));
  }
  if (issue.code === "invalid_key") return [{ path: formatPath(issue.path), message: `as a name: ${issue.issues[0]?.message ?? "not valid"}` }];
  if (issue.code === "invalid_type" && issue.input === undefined && /received undefined/.test(issue.message)) {
    return [{ path: formatPath(issue.path), message: `is missing (expected ${issue.expected})` }];
  }
  // what YAML takes for a number, or for true
  if (issue.code === "invalid_type" && issue.expected === "string" && /received (number|boolean)/.test(issue.message))
    return [{ path: formatPath(issue.path), message: 'expected text: put it in quotes, such as "1"' }];
  return [{ path: formatPath(issue.path), message: issue.message.replace(/^Invalid input: /, "") }];
}

function knownKeys(schema: z.ZodType): string[] {
  const keys = new Set<string>();
  const visit = (node: unknown, depth: number): void => {
    if (depth > 12 || typeof node !== "object" || node === null) return;
    const definition = (node as { _zod?: { def?: Record<string, unknown> } })._zod?.def;
    if (!definition) return;
    const shape = definition["shape"] as Record<string, unknown> | undefined;
    for (const [key, value] of Object.entries(shape ?? {})) {
      keys.add(key);
      visit(value, depth + 1);
    }
    for (const child of ["innerType", "element", "in", "out", "valueType"]) visit(definition[child], depth + 1);
    for (const option of (definition["options"] as unknown[] | undefined) ?? []) visit(option, depth + 1);
  };
  visit(schema, 0);
  return [...keys];
}

/** The known name at an edit distance of at most two, if any; of short words most letters must agree. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.ceil(word.length / 2));
  for (const candidate of known) {
    const distance = editDistance(word, candidate, bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] as number;
}
