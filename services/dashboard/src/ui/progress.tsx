import type { JobView } from "@muster/model";
import { count, figure, percent } from "../lib/format.ts";
import { Meter } from "./meter.tsx";

/** Step of total as a bar with its figures; a job that reports none says so by being empty. */
export function Progress({ job, wide = false }: { job: Pick<JobView, "progress" | "state">; wide?: boolean }): React.ReactNode {
  const { progress } = job;
  if (!progress || progress.step === null) return <span className="faint">{progress?.phase ?? ""}</span>;
  const text = progress.total === null ? `step ${count(progress.step)}` : percent(progress.step, progress.total);
  const title =
    progress.total === null
      ? undefined
      : `step ${count(progress.step)} of ${count(progress.total)}${progress.loss === null ? "" : `, loss ${figure(progress.loss)}`}`;
  if (progress.total === null) return <span className="nowrap">{text}</span>;
  const tone = job.state === "running" ? "run" : job.state === "recovering" || job.state === "stopping" ? "warn" : job.state === "failed" ? "bad" : "quiet";
  return (
    <span className="progress" data-wide={wide} title={title}>
      <Meter value={progress.step} of={progress.total} tone={tone} label="Progress" />
      <span className="num">{text}</span>
    </span>
  );
}
