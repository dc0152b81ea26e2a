import { z } from "zod";

/* What the pods of a handed over gang say. Pure. The operator's word for an end counts only once none of its pods lives. */

const terminated = z.object({ exitCode: z.int(), reason: z.string().default("") });
const podObject = z.object({
  metadata: z.object({ name: z.string(), deletionGracePeriodSeconds: z.int().optional() }),
  spec: z.object({ nodeName: z.string().default("") }),
  status: z
    .object({
      phase: z.string().default("Pending"),
      containerStatuses: z.array(z.object({ state: z.object({ terminated: terminated.optional() }).default({}) })).default([]),
    })
    .prefault({}),
});

export interface GangPod {
  name: string;
  /** The cluster's name of its node; empty: it has none yet. */
  node: string;
  live: boolean;
  /** Being deleted with next to no grace. */
  hurried: boolean;
  /** Of the first container that ended otherwise than well, else 0; undefined: it has not ended, or nobody saw how. */
  exitCode: number | undefined;
  oom: boolean;
}

export function readGangPod(object: unknown): GangPod {
  const { metadata, spec, status } = podObject.parse(object);
  const ends = status.containerStatuses.flatMap(({ state }) => state.terminated ?? []);
  const bad = ends.find((end) => end.exitCode !== 0);
  return {
    name: metadata.name,
    node: spec.nodeName,
    live: status.phase !== "Succeeded" && status.phase !== "Failed",
    hurried: (metadata.deletionGracePeriodSeconds ?? Infinity) <= 1,
    exitCode: bad?.exitCode ?? (ends.length > 0 ? 0 : undefined),
    oom: ends.some((end) => end.reason === "OOMKilled"),
  };
}
