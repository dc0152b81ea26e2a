import { z } from "zod";

const DURATION_UNITS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const SIZE_UNITS: Record<string, number> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** `5m`, `1h30m`, `300` or 300 → seconds; undefined where it is no duration. */
export function parseDuration(value: string | number): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) && value >= 0 ? value : undefined;
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value);
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d|w))+$/.test(value)) return undefined;
  let seconds = 0;
  for (const part of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g)) {
    seconds += Number(part[1]) * (DURATION_UNITS[part[2] as string] as number);
  }
  return seconds;
}

/** `512Gi`, `1T`, `1048576` or 1048576 → whole bytes; undefined where it is no size. */
export function parseSize(value: string | number): number | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  const part = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?B?$/.exec(value);
  if (!part) return undefined;
  const bytes = Math.round(Number(part[1]) * (SIZE_UNITS[part[2] ?? ""] as number));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Seconds, read from `5m`, `1h30m`, `300` or 300. */
export const duration = z
  .union([z.string().max(64), z.number()], { error: "expected a duration such as 5m, 1h30m or a number of seconds" })
  .transform((value, context) => {
    const seconds = parseDuration(value);
    if (seconds !== undefined && seconds <= 3_153_600_000) return seconds;
    context.addIssue({ code: "custom", message: "expected a duration such as 5m, 1h30m, 30d or a number of seconds (units: ms s m h d w)" });
    return z.NEVER;
  });

/** Bytes, read from `512Gi`, `1T` or a whole number of bytes. */
export const size = z.union([z.string().max(64), z.number()], { error: "expected a size such as 512Gi or a number of bytes" }).transform((value, context) => {
  const bytes = parseSize(value);
  if (bytes !== undefined) return bytes;
  context.addIssue({ code: "custom", message: "expected a size such as 512Mi, 64Gi, 1Ti or a whole number of bytes (units: k M G T Ki Mi Gi Ti)" });
  return z.NEVER;
});

/** A time with its zone, as RFC 3339 has it. */
export const instant = z.iso
  .datetime({ offset: true, error: "expected a time such as 2026-12-01T08:00:00Z" })
  .refine((text) => !(Date.parse(text) < 0), "expected a time after 1970");

/** A name of at most 63 characters that is also a DNS label, so that every engine can carry it. */
export const name = z
  .string()
  .max(63, "expected at most 63 characters")
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, "expected lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit");
