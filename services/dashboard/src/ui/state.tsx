import type { JobView } from "@muster/model";
import { JOB_LOOK, WAIT_WORDS } from "../lib/words.ts";
import type { Look } from "../lib/words.ts";
import { ShapeMark } from "./shape.tsx";

export function State({
  look,
  text,
  large = false,
  title,
}: {
  look: Look;
  text?: string | undefined;
  large?: boolean;
  title?: string | undefined;
}): React.ReactNode {
  return (
    <span className={large ? "state large" : "state"} data-tone={look.tone} title={title}>
      <ShapeMark shape={look.shape} size={large ? 16 : 13} />
      <span>{text ?? look.label}</span>
    </span>
  );
}

/** Its name, and of an array its element. */
export function JobName({ job }: { job: Pick<JobView, "name" | "array"> }): React.ReactNode {
  return (
    <>
      {job.name}
      {job.array ? <span className="faint">[{job.array.index}]</span> : null}
    </>
  );
}

/** "Starting 14/16", "Stopping to suspended": what a job does, in as few words as are true. */
export function jobStateText(job: Pick<JobView, "state" | "workers" | "stopping">): string {
  const { label } = JOB_LOOK[job.state];
  if ((job.state === "starting" || job.state === "recovering") && job.workers) return `${label} ${job.workers.running}/${job.workers.total}`;
  if (job.state === "stopping" && job.stopping) return `Stopping → ${job.stopping.target}`;
  return label;
}

export function JobState({ job, large = false }: { job: Pick<JobView, "state" | "workers" | "stopping" | "conditions">; large?: boolean }): React.ReactNode {
  return (
    <span className="spread" style={{ gap: 6, minWidth: 0 }}>
      <State look={JOB_LOOK[job.state]} text={jobStateText(job)} large={large} title={job.stopping?.reason} />
      {job.conditions.map((condition) =>
        large ? (
          <span key={condition} className="tag" data-tone="warn">
            {condition.replaceAll("_", " ")}
          </span>
        ) : (
          <span key={condition} className="toned" data-tone="warn" style={{ display: "flex" }} title={condition.replaceAll("_", " ")}>
            <ShapeMark shape="triangle" />
            <span className="hidden-text">{condition.replaceAll("_", " ")}</span>
          </span>
        ),
      )}
    </span>
  );
}

export function WaitReasonText({ reason }: { reason: JobView["wait_reason"] }): React.ReactNode {
  if (reason === null) return null;
  const words = WAIT_WORDS[reason];
  return <span title={words.meaning}>{words.label}</span>;
}
