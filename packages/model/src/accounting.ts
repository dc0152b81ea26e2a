import { z } from "zod";

/* What jobs' time went into, over many of them. */

const times = z.object({ p50: z.number(), p99: z.number(), count: z.int() }).describe("seconds");

export const accountTotal = z.object({
  jobs: z.int().describe("that ran in this time, each looked at from its first start"),
  ettr: z.number().nullable().describe("productive time over wall time since the first start, by devices; null before there is any"),
  goodput: z.number().nullable().describe("steps kept over steps done; null where none was reported"),
  productive_device_hours: z.number(),
  wall_device_hours: z.number(),
  wasted_device_hours: z.record(z.string(), z.number()).describe("by the class of what caused it; start is the first start"),
});
export type AccountTotal = z.output<typeof accountTotal>;

export const accountView = z
  .object({
    as_of: z.iso.datetime(),
    since: z.iso.datetime(),
    partial: z.boolean().describe("there were more jobs than are looked at; the newest are"),
    total: accountTotal,
    queues: z.array(accountTotal.extend({ queue: z.string() })),
    recoveries: z
      .object({
        total: times.nullable().describe("from the fault to the first new step, steps made again included"),
        phases: z.record(z.string(), times).describe("detect, decide, fence, place, start, reload, redo"),
      })
      .describe("of attempts that faults ended, whose recovery was over in this time"),
    faults: z.array(z.object({ rule: z.string(), class: z.string(), attempts: z.int(), device_hours: z.number() })).describe("the costliest first"),
  })
  .meta({ id: "Account" });
export type AccountView = z.output<typeof accountView>;
