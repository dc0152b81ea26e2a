import { z } from "zod";
import { time } from "./fields.ts";

export const eventView = z
  .object({
    /** Position in the feed, for `Last-Event-ID` and cursors. */
    id: z.string(),
    at: time,
    kind: z.string(),
    actor: z.string(),
    project: z.string().nullable(),
    job: z.string().nullable(),
    job_name: z.string().nullable().optional().describe("in lists; of an array with its element"),
    attempt: z.int().nullable(),
    node: z.string().nullable(),
    queue: z.string().nullable(),
    pool: z.string().nullable(),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "Event" });
export type EventView = z.output<typeof eventView>;
