import type { JobView } from "@muster/model";
import { Link } from "@tanstack/react-router";
import { count, decimal, duration, figure, percent, plural } from "../../lib/format.ts";
import { restartsOf } from "../../lib/overview.ts";
import { lastJobs } from "../../shell/trail.ts";
import { Copy } from "../../ui/copy.tsx";
import { Meter } from "../../ui/meter.tsx";
import { JobName, JobState } from "../../ui/state.tsx";
import { Ago, Since } from "../../ui/time.tsx";
import { JobActions } from "./actions.tsx";

export function JobHeader({ job }: { job: JobView }): React.ReactNode {
  return (
    <div className="job-head">
      <div className="page-head">
        <div className="grow">
          <div className="crumbs">
            <Link to="/jobs" search={lastJobs()} data-parent>
              Jobs
            </Link>
            <span className="faint">/</span>
            <Link to="/jobs" search={{ project: job.project }}>
              {job.project}
            </Link>
            <span className="faint">/</span>
            <Copy text={job.id} label="Copy the job's id" />
          </div>
          <h1 className="clip">
            <JobName job={job} />
          </h1>
        </div>
        <JobActions job={job} />
      </div>
      <div className="job-strip">
        <div className="cell">
          <JobState job={job} large />
          <span className="muted">
            for <Since at={job.state_since} />
            {job.attempt > 0 ? <> · attempt {job.attempt}</> : null}
          </span>
        </div>
        <ProgressCell job={job} />
        <div className="cell">
          <strong>
            {job.devices > 0 ? (
              <>
                {plural(job.devices, "device")} <span className="faint">on {plural(job.nodes, "node")}</span>
              </>
            ) : (
              <>
                {plural(job.nodes, "node")} <span className="faint">no devices</span>
              </>
            )}
          </strong>
          <span className="muted">{job.pools.length > 0 ? job.pools.join(", ") : "not placed"}</span>
        </div>
        <div className="cell">
          {job.run_seconds > 0 ? <strong>{duration(job.run_seconds)} run</strong> : <strong className="faint">not started</strong>}
          <span className="muted">
            submitted <Ago at={job.submitted_at} />
          </span>
        </div>
        <div className="cell">
          <Restarts job={job} />
        </div>
        <div className="cell">
          {job.latest_checkpoint ? (
            <>
              <strong>checkpoint {count(job.latest_checkpoint.step)}</strong>
              <span className="muted">
                committed <Ago at={job.latest_checkpoint.at} />
              </span>
            </>
          ) : (
            <>
              <strong className="faint">no checkpoint</strong>
              <span className="muted">none committed yet</span>
            </>
          )}
        </div>
      </div>
    </div>
  );
}

function ProgressCell({ job }: { job: JobView }): React.ReactNode {
  const { progress } = job;
  if (!progress || progress.step === null) return null;
  const left = progress.seconds_left ?? null;
  const figures = [
    left === null ? "" : `${duration(left)} left`,
    progress.loss === null ? "" : `loss ${figure(progress.loss)}`,
    progress.rate === null ? "" : `${decimal(progress.rate)} steps/s`,
    progress.phase ?? "",
  ].filter(Boolean);
  return (
    <div className="cell wide">
      <span className="spread">
        <strong>
          step {count(progress.step)}
          {progress.total === null ? null : <span className="faint"> of {count(progress.total)}</span>}
        </strong>
        {progress.total === null ? null : <strong className="end">{percent(progress.step, progress.total)}</strong>}
      </span>
      {progress.total === null ? null : <Meter value={progress.step} of={progress.total} label="Progress" tone={job.state === "failed" ? "bad" : "run"} />}
      <span className="muted">
        {figures.map((text) => `${text} · `)}
        last step <Ago at={progress.at} />
      </span>
    </div>
  );
}

function Restarts({ job }: { job: JobView }): React.ReactNode {
  const { user, infrastructure, unknown, max_user: most } = job.restarts;
  const all = restartsOf(job);
  return (
    <>
      <strong data-tone={all > 0 ? "warn" : undefined} className={all > 0 ? "toned" : "faint"}>
        {plural(all, "restart")}
      </strong>
      <span className="muted" title="Only failures of the job itself, since its last new checkpoint, count against its limit.">
        {plural(user, "own failure")}, {most} allowed · {infrastructure} of infrastructure{unknown > 0 ? ` · ${unknown} unknown` : ""}
      </span>
    </>
  );
}
