import { z } from "zod";
import { duration, name } from "../units.ts";
import { ROLES } from "../words.ts";
import { time } from "./fields.ts";

export const tokenBody = z.strictObject({
  subject: z
    .string()
    .min(1)
    .max(128)
    .regex(/^\P{Cc}*$/u, "must not contain control characters"),
  project: name.nullable().default(null),
  role: z.enum(ROLES),
  description: z.string().max(256).default(""),
  expires_in: duration.refine((seconds) => seconds >= 1, "expected at least a second").optional(),
});
export const tokenView = z
  .object({
    id: z.string(),
    subject: z.string(),
    project: z.string().nullable(),
    role: z.enum(ROLES),
    description: z.string(),
    created_at: time,
    expires_at: time.nullable(),
    last_used_at: time.nullable(),
  })
  .meta({ id: "Token" });

export const meView = z
  .object({ subject: z.string(), project: z.string().nullable(), role: z.enum(ROLES), projects: z.record(z.string(), z.enum(ROLES)) })
  .meta({ id: "Me" });
