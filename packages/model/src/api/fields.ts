import { z } from "zod";

/*
 * What the REST API sends and takes, shared by the server, the client and the dashboard. Times are RFC 3339 UTC, durations
 * seconds, sizes bytes, shares of a device thousandths.
 */

export const time = z.iso.datetime();
/** By accelerator model or pool, or of cpus or memory. */
export const amounts = z.record(z.string().max(63), z.number().min(0));
export const page = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next_cursor: z.string().nullable() });
