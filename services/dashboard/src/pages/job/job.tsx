import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import type { JobView } from "@muster/model";
import { Tabs } from "radix-ui";
import { useEffect } from "react";
import { ApiError } from "../../api/client.ts";
import { attemptsQuery, checkpointsQuery, jobQueryOf } from "../../api/queries.ts";
import { JOB_TABS } from "../../lib/url-state.ts";
import type { JobPageSearch, JobTab } from "../../lib/url-state.ts";
import { waits } from "../../lib/words.ts";
import { Failure, Notice, Skeleton } from "../../ui/notice.tsx";
import { Checkpoints } from "./checkpoints.tsx";
import { Explain } from "./explain.tsx";
import { FailurePanel } from "./failure.tsx";
import { Facts } from "./facts.tsx";
import { JobEvents } from "./job-events.tsx";
import { JobHeader } from "./header.tsx";
import { Logs } from "./logs.tsx";
import { Spec } from "./spec.tsx";
import { Attempts } from "./attempts.tsx";
import { TimelinePanel } from "./timeline-panel.tsx";
import { Workers } from "./workers.tsx";

const WORDS: Readonly<Record<JobTab, string>> = {
  overview: "Overview",
  workers: "Workers",
  logs: "Logs",
  events: "Events",
  checkpoints: "Checkpoints",
  spec: "Spec",
};

export function JobPage(): React.ReactNode {
  const { job: id } = useParams({ from: "/jobs/$job" });
  const search = useSearch({ from: "/jobs/$job" });
  const navigate = useNavigate();
  const { data: job, error, refetch } = useQuery(jobQueryOf(id));
  useEffect(() => {
    document.title = job ? `${job.name} · Muster` : "Muster";
    return () => {
      document.title = "Muster";
    };
  }, [job?.name, job]);
  if (!job) {
    return (
      <div className="page">
        <Link to="/jobs" data-parent className="muted">
          Jobs
        </Link>
        {error instanceof ApiError && error.status === 404 ? (
          <Notice shape="slash" title="There is no such job">
            <p>
              None with the id <code className="mono">{id}</code> among those you may see.
            </p>
          </Notice>
        ) : error ? (
          <Failure error={error} retry={() => void refetch()} />
        ) : (
          <Skeleton lines={12} />
        )}
      </div>
    );
  }
  const go = (next: JobPageSearch): void => void navigate({ to: "/jobs/$job", params: { job: id }, search: next, replace: next.find !== search.find });
  const tab = search.tab ?? "overview";
  return (
    <div className={tab === "overview" ? "page job" : "page whole job"}>
      <JobHeader job={job} />
      <Tabs.Root value={tab} onValueChange={(value) => go({ ...search, tab: value as JobTab })} activationMode="manual" className="job-tabs">
        <Tabs.List className="tabs" aria-label="Parts of the job">
          {JOB_TABS.map((item) => (
            <Tabs.Trigger key={item} value={item} className="tab">
              {WORDS[item]}
              {item === "workers" && job.workers ? <small>{job.workers.total}</small> : null}
            </Tabs.Trigger>
          ))}
        </Tabs.List>
        <Tabs.Content value={tab} tabIndex={-1} className="job-part">
          {tab === "overview" ? <JobOverview job={job} /> : null}
          {tab === "workers" ? <Workers job={job} search={search} onSearch={go} /> : null}
          {tab === "logs" ? <Logs job={job} search={search} onSearch={go} /> : null}
          {tab === "events" ? <JobEvents job={job.id} fill /> : null}
          {tab === "checkpoints" ? <Checkpoints job={job.id} /> : null}
          {tab === "spec" ? <Spec job={job.id} search={search} onSearch={go} /> : null}
        </Tabs.Content>
      </Tabs.Root>
    </div>
  );
}

function JobOverview({ job }: { job: JobView }): React.ReactNode {
  const attempts = useQuery(attemptsQuery(job.id));
  const checkpoints = useQuery(checkpointsQuery(job.id));
  return (
    <div className="job-overview">
      <div className="job-main">
        {waits(job.state) ? <Explain job={job} /> : null}
        {job.failure && (job.state === "failed" || job.state === "recovering") ? (
          <FailurePanel job={job} failure={job.failure} recovering={job.state === "recovering"} />
        ) : null}
        {attempts.data ? (
          <>
            <TimelinePanel job={job} attempts={attempts.data} checkpoints={checkpoints.data ?? []} />
            <Attempts job={job} attempts={attempts.data} />
          </>
        ) : attempts.error ? (
          <section className="panel">
            <Failure error={attempts.error} retry={() => void attempts.refetch()} />
          </section>
        ) : (
          <section className="panel">
            <Skeleton lines={5} />
          </section>
        )}
      </div>
      <div className="job-side">
        <Facts job={job} />
        <JobEvents job={job.id} />
      </div>
    </div>
  );
}
