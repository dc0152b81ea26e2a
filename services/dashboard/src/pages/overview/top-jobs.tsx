import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import type { JobView } from "@muster/model";
import { count, duration, figure } from "../../lib/format.ts";
import { restartsOf } from "../../lib/overview.ts";
import { Notice } from "../../ui/notice.tsx";
import { Progress } from "../../ui/progress.tsx";
import { JobName, JobState } from "../../ui/state.tsx";
import { Table } from "../../ui/table.tsx";
import type { Column } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";

const COLUMNS: readonly Column<JobView>[] = [
  { id: "state", header: "State", min: 132, cell: (job) => <JobState job={job} /> },
  {
    id: "name",
    header: "Job",
    min: 120,
    grow: 3,
    cell: (job) => (
      <Link to="/jobs/$job" params={{ job: job.id }} title={job.id}>
        <JobName job={job} /> <span className="faint">{job.project}</span>
      </Link>
    ),
  },
  { id: "devices", header: "Devices", min: 58, end: true, yields: 1, cell: (job) => count(job.devices) },
  { id: "progress", header: "Progress", min: 120, grow: 2, yields: 2, cell: (job) => <Progress job={job} /> },
  { id: "left", header: "Left", min: 66, end: true, yields: 4, cell: (job) => <Left job={job} /> },
  {
    id: "rate",
    header: "Steps/s",
    min: 58,
    end: true,
    yields: 6,
    cell: (job) => (job.progress?.rate ? figure(job.progress.rate) : <span className="faint">–</span>),
  },
  {
    id: "loss",
    header: "Loss",
    min: 58,
    end: true,
    yields: 7,
    cell: (job) => (job.progress?.loss === null || job.progress?.loss === undefined ? <span className="faint">–</span> : figure(job.progress.loss)),
  },
  { id: "seen", header: "Last step", min: 66, end: true, yields: 5, cell: (job) => <Ago at={job.progress?.at} /> },
  {
    id: "restarts",
    header: "Restarts",
    min: 60,
    end: true,
    yields: 3,
    cell: (job) =>
      restartsOf(job) > 0 ? (
        <span
          data-tone="warn"
          className="toned"
          title={`failures: ${job.restarts.infrastructure} infrastructure, ${job.restarts.user} of ${job.restarts.max_user} the job's own, ${job.restarts.unknown} unknown`}
        >
          {restartsOf(job)}
        </span>
      ) : (
        <span className="faint">0</span>
      ),
  },
];

function Left({ job }: { job: JobView }): React.ReactNode {
  const left = job.progress?.seconds_left ?? null;
  return left === null ? <span className="faint">–</span> : <span>{duration(left)}</span>;
}

export function TopJobs({ jobs }: { jobs: readonly JobView[] }): React.ReactNode {
  const navigate = useNavigate();
  const columns = useMemo(() => COLUMNS, []);
  return (
    <section className="panel" aria-labelledby="top" style={{ flex: 1 }}>
      <header>
        <h2 id="top">Largest jobs</h2>
        <Link to="/jobs" className="more">
          All jobs
        </Link>
      </header>
      <Table
        label="Largest jobs"
        columns={columns}
        rows={jobs}
        rowId={(job) => job.id}
        onOpen={(job) => void navigate({ to: "/jobs/$job", params: { job: job.id } })}
        fill
        keys
        empty={
          <Notice title="Nothing runs">
            <p>
              <code className="mono">muster job submit -f job.yaml</code> puts the first job into the queue.
            </p>
          </Notice>
        }
      />
    </section>
  );
}
