import { z } from "zod";
import { time } from "./fields.ts";

export const incidentView = z
  .object({
    id: z.string(),
    kind: z.string(),
    severity: z.enum(["info", "warning", "critical"]),
    opened_at: time,
    closed_at: time.nullable(),
    project: z.string().nullable(),
    job: z.string().nullable(),
    job_name: z.string().nullable().optional().describe("of an array with its element"),
    attempt: z.int().nullable(),
    node: z.string().nullable(),
    evidence: z.array(z.string()),
    class: z.string().nullable(),
    rule: z.string().nullable(),
    action: z.string().nullable(),
    cost: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "Incident" });
export type IncidentView = z.output<typeof incidentView>;
