import { z } from "zod";
import { NODE_HEALTH } from "../words.ts";
import { poolView } from "./cluster.ts";
import { time } from "./fields.ts";
import { incidentView } from "./incidents.ts";
import { jobView } from "./jobs.ts";

export const overviewView = z
  .object({
    as_of: time,
    jobs: z.record(z.string(), z.int()),
    waiting: z.object({ jobs: z.int(), devices: z.int(), oldest_since: time.nullable(), by_reason: z.record(z.string(), z.int()) }),
    pools: z.array(poolView),
    broken_nodes: z.array(z.object({ name: z.string(), pool: z.string(), health: z.enum(NODE_HEALTH), reason: z.string().nullable(), since: time })),
    open_incidents: z.array(incidentView),
    failures_24h: z.record(z.string(), z.int()),
    ettr_7d: z.number().nullable().optional().describe("productive time over wall time, by devices, of jobs that ran within 7 days"),
    top_jobs: z.array(jobView),
    control_plane: z.object({
      scheduler: z.object({ leader: z.string().nullable(), cycle_ms: z.number().nullable(), lag_ms: z.number().nullable() }),
      shards: z.array(z.object({ name: z.string(), reachable: z.boolean(), last_seen: time.nullable() })),
      incarnation: z.string(),
      starts_paused: z.string().nullable(),
      brake: z.object({ incident: z.string(), since: time }).nullish().describe("since when no node is declared lost, as many fell silent at once"),
    }),
  })
  .meta({ id: "Overview" });
export type OverviewView = z.output<typeof overviewView>;
