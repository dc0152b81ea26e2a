import { z } from "zod";
import { FAILURE_CLASSES } from "./words.ts";

const pattern = z
  .string()
  .min(1)
  .max(1024)
  .refine((text) => {
    try {
      return Boolean(new RegExp(text));
    } catch {
      return false;
    }
  }, "expected a regular expression");

/**
 * A rule of the cluster about what ended a worker, looked at after a job's own and before the built-in ones; or, by the id of a
 * built-in one and without `match`, a change of that.
 */
export const faultRule = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/, "expected at most 63 lower-case letters, digits, '_', '-' and '.', beginning with a letter or digit"),
    match: z
      .strictObject({
        log: pattern.optional().describe("in a line among the last ones of output"),
        exit_code: z.array(z.int().min(0).max(255)).min(1).optional(),
        signal: z.array(z.string().max(16)).min(1).optional(),
      })
      .refine((match) => Object.keys(match).length > 0, "expected at least one of log, exit_code, signal")
      .optional(),
    class: z.enum(FAILURE_CLASSES).optional(),
    action: z.enum(["retry", "exclude_node", "fail", "ignore", "rollback"]).optional(),
    message: z.string().min(1).max(256).optional(),
    weight: z.number().min(0).max(100).optional().describe("which of the ranks' stories outranks the others; the built-in ones have 0 to 100"),
    shadow: z.boolean().optional().describe("only say in an event what it would have matched"),
    off: z.boolean().optional().describe("as if it weren't there"),
  })
  .meta({ id: "FaultRule" });
export type FaultRule = z.output<typeof faultRule>;

export const faultRules = z
  .array(faultRule)
  .max(200)
  .refine((rules) => new Set(rules.map((rule) => rule.id)).size === rules.length, "expected each id once");
