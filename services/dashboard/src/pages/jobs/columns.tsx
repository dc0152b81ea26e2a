import { Link } from "@tanstack/react-router";
import type { JobView } from "@muster/model";
import { count } from "../../lib/format.ts";
import { restartsOf } from "../../lib/overview.ts";
import { FAILURE_WORDS } from "../../lib/words.ts";
import { Progress } from "../../ui/progress.tsx";
import { JobName, JobState, WaitReasonText } from "../../ui/state.tsx";
import type { Column } from "../../ui/table.tsx";
import { Ago, Since } from "../../ui/time.tsx";

/** Why it is where it is: the reason to wait, what stops it, or what it failed of. */
export function JobNote({ job }: { job: JobView }): React.ReactNode {
  if (job.wait_reason !== null) return <WaitReasonText reason={job.wait_reason} />;
  if (job.stopping) return <span title={job.stopping.reason}>{job.stopping.reason}</span>;
  if (job.failure && (job.state === "failed" || job.state === "recovering"))
    return (
      <span title={job.failure.message}>
        {FAILURE_WORDS[job.failure.class]}: {job.failure.message}
      </span>
    );
  return <span className="faint">{job.pools.join(", ")}</span>;
}

export const JOB_COLUMNS: readonly Column<JobView>[] = [
  { id: "state", header: "State", min: 146, tight: 92, cell: (job) => <JobState job={job} /> },
  {
    id: "name",
    header: "Job",
    min: 150,
    tight: 112,
    grow: 3,
    cell: (job) => (
      <Link to="/jobs/$job" params={{ job: job.id }} title={job.id}>
        <JobName job={job} />
      </Link>
    ),
  },
  { id: "note", header: "Why", min: 120, tight: 96, grow: 3, cell: (job) => <JobNote job={job} /> },
  { id: "progress", header: "Progress", min: 120, grow: 1, yields: 3, cell: (job) => <Progress job={job} /> },
  { id: "project", header: "Project", min: 80, grow: 1, yields: 6, cell: (job) => job.project },
  { id: "queue", header: "Queue", min: 70, grow: 1, yields: 5, cell: (job) => job.queue },
  { id: "priority", header: "Priority", min: 58, yields: 8, cell: (job) => <span className={job.priority === "normal" ? "faint" : ""}>{job.priority}</span> },
  { id: "devices", header: "Devices", min: 56, end: true, yields: 1, cell: (job) => count(job.devices) },
  {
    id: "restarts",
    header: "Restarts",
    min: 58,
    end: true,
    yields: 7,
    cell: (job) =>
      restartsOf(job) > 0 ? (
        <span data-tone="warn" className="toned">
          {restartsOf(job)}
        </span>
      ) : (
        <span className="faint">0</span>
      ),
  },
  { id: "for", header: "In state", min: 58, end: true, yields: 4, cell: (job) => <Since at={job.state_since} short /> },
  { id: "submitted", header: "Submitted", min: 68, end: true, yields: 4, cell: (job) => <Ago at={job.submitted_at} /> },
];
