import { z } from "zod";
import type { DelegatedKind } from "./kinds.ts";

/* What an operator's object says of itself, in one word for all of them. Pure. What isn't understood is `starting`, never an end. */

export type DelegatedPhase = "suspended" | "starting" | "running" | "succeeded" | "failed";

export interface DelegatedStatus {
  phase: DelegatedPhase;
  /** The operator's own words for it, for the job's timeline. */
  message: string;
}

const condition = z.object({ type: z.string(), status: z.string(), reason: z.string().default(""), message: z.string().default("") });
const counts = z.object({ ready: z.int().default(0), active: z.int().default(0), succeeded: z.int().default(0), failed: z.int().default(0) });

const conditioned = z.object({
  conditions: z.array(condition).default([]),
  replicatedJobsStatus: z.array(counts).default([]),
  jobsStatus: z.array(counts).default([]),
});
const ray = z.object({
  jobStatus: z.string().default(""),
  jobDeploymentStatus: z.string().default(""),
  reason: z.string().default(""),
  message: z.string().default(""),
});

/** The condition that says that it ended well, and the one that says that it didn't. */
const ENDS: Readonly<Record<Exclude<DelegatedKind, "rayjob">, readonly [string, string]>> = {
  trainjob: ["Complete", "Failed"],
  jobset: ["Completed", "Failed"],
  mpijob: ["Succeeded", "Failed"],
  pytorchjob: ["Succeeded", "Failed"],
};

/** Reads `status` as it came from the API server. */
export function readStatus(kind: DelegatedKind, status: unknown): DelegatedStatus {
  return kind === "rayjob" ? ofRay(status ?? {}) : ofConditions(kind, status ?? {});
}

function ofConditions(kind: Exclude<DelegatedKind, "rayjob">, status: unknown): DelegatedStatus {
  const parsed = conditioned.safeParse(status);
  if (!parsed.success) return { phase: "starting", message: "its status is not understood" };
  const { conditions, replicatedJobsStatus, jobsStatus } = parsed.data;
  const holds = (type: string): z.output<typeof condition> | undefined => conditions.find((one) => one.type === type && one.status === "True");
  const say = (phase: DelegatedPhase, said?: z.output<typeof condition>): DelegatedStatus => ({
    phase,
    message: said ? `${said.reason}: ${said.message}` : "",
  });
  const [good, bad] = ENDS[kind];
  const [succeeded, failed, suspended, running] = [holds(good), holds(bad), holds("Suspended"), holds("Running")];
  // a failure that is known already is one, whatever else is still true
  if (failed) return say("failed", failed);
  if (succeeded) return say("succeeded", succeeded);
  if (suspended) return say("suspended", suspended);
  if (running) return say("running", running);
  const jobs = [...replicatedJobsStatus, ...jobsStatus];
  return say(jobs.length > 0 && jobs.every((job) => job.ready + job.succeeded > 0) ? "running" : "starting");
}

function ofRay(status: unknown): DelegatedStatus {
  const parsed = ray.safeParse(status);
  if (!parsed.success) return { phase: "starting", message: "its status is not understood" };
  const { jobStatus, jobDeploymentStatus, reason, message } = parsed.data;
  const said = [reason, message].filter((word) => word !== "").join(": ");
  if (jobDeploymentStatus === "Failed" || jobDeploymentStatus === "ValidationFailed") return { phase: "failed", message: said || jobDeploymentStatus };
  // stopped by hand is no success
  if (jobStatus === "FAILED" || jobStatus === "STOPPED") return { phase: "failed", message: said || jobStatus };
  if (jobStatus === "SUCCEEDED") return { phase: "succeeded", message: said };
  if (jobDeploymentStatus === "Suspended" || jobDeploymentStatus === "Suspending") return { phase: "suspended", message: said };
  return { phase: jobStatus === "RUNNING" ? "running" : "starting", message: said || jobDeploymentStatus };
}
