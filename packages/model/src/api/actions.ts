import { z } from "zod";
import { duration, name } from "../units.ts";

export const actionBody = z.strictObject({ reason: z.string().max(1024).default("") }).prefault({});
export const drainBody = z.strictObject({ reason: z.string().min(1).max(1024), deadline: duration.default(3600) });
export const cordonBody = z.strictObject({ reason: z.string().min(1).max(1024) });
export const updateJobBody = z.strictObject({ priority: name.optional() }).refine((body) => Object.keys(body).length > 0, "expected at least one of: priority");
export const nodeHealthBody = z.strictObject({
  status: z.enum(["ok", "warning", "fatal"]),
  check: z.string().min(1).max(128),
  message: z.string().max(4096).default(""),
});
