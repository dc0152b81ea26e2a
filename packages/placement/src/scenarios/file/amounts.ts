import type { Amounts, Quota } from "../format.ts";

/** What is written in a file of cases but cannot be read, by its path. */
export class Unread extends Error {}

export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown, path: string): Fields {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw new Unread(`${path}: a table is expected`);
  return value as Fields;
}

export function listOf(value: unknown, path: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Unread(`${path}: a list is expected`);
  return value;
}

export function namesOf(value: unknown, path: string): string[] {
  return listOf(value, path).map((name) => {
    if (typeof name !== "string") throw new Unread(`${path}: a list of names is expected`);
    return name;
  });
}

export function textOf(value: unknown, path: string): string {
  if (typeof value !== "string" && typeof value !== "number") throw new Unread(`${path}: a name is expected`);
  return String(value);
}

export function numberOf(value: unknown, path: string): number {
  if (typeof value !== "number") throw new Unread(`${path}: a number is expected`);
  return value;
}

/** Seconds, given as a number or as `-15s`, `2m`. */
export function secondsOf(value: unknown, path: string): number {
  if (typeof value === "number") return value;
  const found = typeof value === "string" ? /^(-?[\d.]+)(s|m|h)$/.exec(value) : null;
  if (found === null) throw new Unread(`${path}: seconds are expected`);
  return Number(found[1]) * { s: 1, m: 60, h: 3600 }[found[2] as "s" | "m" | "h"];
}

/** Throws where a table has a field that is none of these. */
export function only(fields: Fields, known: readonly string[], path: string): void {
  for (const name of Object.keys(fields)) if (!known.includes(name)) throw new Unread(`${path}.${name}: not known here; there are ${known.join(", ")}`);
}

/** A resource by any of its names: devices of whatever maker, or cores. */
export function resourceOf(name: string): keyof Amounts | null {
  if (name === "cpu" || name === "cpus") return "cpu";
  return name === "gpu" || name === "gpus" || name === "accelerators" || /^[\w.-]+\.(com|io)\//.test(name) ? "gpu" : null;
}

export function amountsOf(value: unknown, path: string): Amounts {
  const amounts: Amounts = {};
  for (const [name, amount] of Object.entries(fieldsOf(value, path))) {
    const resource = resourceOf(name);
    if (resource === null) throw new Unread(`${path}.${name}: no resource is called so`);
    amounts[resource] = numberOf(amount, `${path}.${name}`);
  }
  return amounts;
}

/** Amounts of everything, or by pool; a bare number of a pool counts its devices. */
export function quotaOf(value: unknown, path: string): Quota {
  const fields = fieldsOf(value, path);
  if (Object.keys(fields).every((name) => resourceOf(name) !== null)) return amountsOf(value, path);
  return Object.fromEntries(
    Object.entries(fields).map(([pool, amounts]) => [pool, typeof amounts === "number" ? { gpu: amounts } : amountsOf(amounts, `${path}.${pool}`)]),
  );
}

export function choice<T extends string>(of: Readonly<Record<string, T>>, value: unknown, path: string): T {
  const found = of[textOf(value, path).replaceAll("-", "_")];
  if (found === undefined) throw new Unread(`${path}: must be one of ${Object.keys(of).join(", ")}`);
  return found;
}
