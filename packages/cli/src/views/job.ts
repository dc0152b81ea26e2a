import type { JobView } from "@muster/model";
import type { Shape } from "../print.ts";
import type { Colours, Session } from "../session.ts";
import { clean, formatAge, formatDuration, formatNumber } from "../text.ts";

export function jobShape(session: Session): Shape<JobView> {
  const { colours } = session;
  return {
    name: (job) => job.id,
    columns: [
      { title: "ID", value: (job) => job.id },
      { title: "NAME", value: displayName },
      { title: "PROJECT", value: (job) => job.project, wide: true },
      { title: "QUEUE", value: (job) => job.queue },
      { title: "PRIO", value: (job) => job.priority },
      { title: "STATE", value: (job) => paintState(colours, job, describeState(job)) },
      { title: "NODES", value: (job) => String(job.nodes), right: true },
      { title: "POOL", value: (job) => job.pools.join(",") },
      { title: "AGE", value: (job) => formatAge(job.submitted_at, session.now), right: true },
      { title: "RUN", value: (job) => (job.run_seconds > 0 ? formatDuration(job.run_seconds) : "-"), right: true },
      { title: "RESTARTS", value: (job) => String(restartCount(job)), right: true },
      { title: "USER", value: (job) => clean(job.submitter), wide: true },
      { title: "DEVICES", value: (job) => String(job.devices), wide: true, right: true },
      { title: "ATTEMPT", value: (job) => String(job.attempt), wide: true, right: true },
      { title: "VARIANT", value: (job) => (job.variant === null ? "-" : String(job.variant)), wide: true, right: true },
      { title: "PROGRESS", value: (job) => describeProgress(job) ?? "-", wide: true },
      { title: "REASON", value: (job) => describeReason(job) ?? "-" },
    ],
  };
}

/** The name, and of an array its element. */
export function displayName(job: JobView): string {
  return clean(job.name) + (job.array ? `[${job.array.index}]` : "");
}

/** Attempts beyond the first. */
export function restartCount(job: JobView): number {
  return Math.max(0, job.attempt - 1);
}

/** `starting 3/4`, `stopping: suspended`, or the state alone. */
export function describeState(job: JobView): string {
  if (job.state === "stopping" && job.stopping) return `stopping: ${job.stopping.target}`;
  if (job.state === "starting" && job.workers) return `starting ${job.workers.running}/${job.workers.total}`;
  return job.state;
}

export function paintState(colours: Colours, job: Pick<JobView, "state">, text: string): string {
  switch (job.state) {
    case "running":
    case "succeeded":
      return colours.green(text);
    case "failed":
      return colours.red(text);
    case "recovering":
    case "stopping":
      return colours.yellow(text);
    case "scheduled":
    case "starting":
      return colours.cyan(text);
    default:
      return colours.dim(text);
  }
}

/** `step 120/1000 (12 %), loss 2.5, 3.5/s`; undefined where nothing was reported yet. */
export function describeProgress(job: JobView): string | undefined {
  const { progress } = job;
  if (!progress) return undefined;
  const parts: string[] = [];
  if (progress.step !== null) {
    const share = progress.total ? ` (${Math.floor((100 * progress.step) / progress.total)} %)` : "";
    parts.push(`step ${progress.step}${progress.total === null ? "" : `/${progress.total}`}${share}`);
  }
  if (progress.loss !== null) parts.push(`loss ${formatNumber(progress.loss)}`);
  if (progress.rate !== null) parts.push(`${formatNumber(progress.rate)}/s`);
  if (progress.phase !== null) parts.push(clean(progress.phase));
  if (progress.seconds_left != null) parts.push(`${formatDuration(progress.seconds_left)} left`);
  return parts.length > 0 ? parts.join(", ") : undefined;
}

/** What matters most of why the job is as it is. */
export function describeReason(job: JobView): string | undefined {
  if (job.state === "failed" && job.failure) return `${job.failure.class}: ${clean(job.failure.message)}`;
  if (job.state === "stopping" && job.stopping?.reason) return clean(job.stopping.reason);
  if (job.wait_reason) return job.wait_reason;
  if (job.state === "recovering" && job.failure) return clean(job.failure.message);
  return job.conditions.length > 0 ? job.conditions.join(",") : undefined;
}
