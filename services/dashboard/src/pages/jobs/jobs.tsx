import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { JobView } from "@muster/model";
import { useEffect, useMemo } from "react";
import { jobsQuery, PAGE_SIZE } from "../../api/queries.ts";
import { jobQuery } from "../../lib/url-state.ts";
import type { JobSearch } from "../../lib/url-state.ts";
import { leaveTrail } from "../../shell/trail.ts";
import { Icon } from "../../ui/icons.tsx";
import { Failure, Notice, Skeleton } from "../../ui/notice.tsx";
import { Table } from "../../ui/table.tsx";
import { pillText, useHeldRows } from "../../ui/use-held-rows.ts";
import { JOB_COLUMNS } from "./columns.tsx";
import { JobFilters } from "./filters.tsx";
import { JobGroups, StateCounts } from "./groups.tsx";

const idOf = (job: JobView): string => job.id;

export function JobsPage(): React.ReactNode {
  const search = useSearch({ from: "/jobs" });
  const navigate = useNavigate();
  const query = useMemo(() => jobQuery(search, PAGE_SIZE), [search]);
  const { data, error, isPlaceholderData, refetch } = useQuery(jobsQuery(query));
  const held = useHeldRows(query.toString(), isPlaceholderData ? undefined : data?.items, idOf);
  // Typing a name is one step of the history, not one for each letter.
  const change = (next: JobSearch): void =>
    void navigate({ to: "/jobs", search: next, replace: search.name !== undefined && next.name !== undefined && search.name !== next.name });
  useEffect(() => leaveTrail.jobs(search), [search]);
  const filtered = Object.keys(search).some((key) => !["group", "sort", "cursor"].includes(key));
  const pill = pillText(held.fresh, held.gone.size);

  return (
    <div className="page whole jobs">
      <div className="page-head">
        <h1>Jobs</h1>
        <StateCounts search={search} onChange={change} />
      </div>
      <div className="jobs-columns">
        <JobGroups search={search} onChange={change} />
        <section className="panel grow" aria-label="Jobs" {...held.guard} style={{ position: "relative" }}>
          <JobFilters search={search} onChange={change} />
          {data ? (
            <Table
              label="Jobs"
              columns={JOB_COLUMNS}
              rows={held.rows}
              rowId={idOf}
              gone={held.gone}
              onOpen={(job) => void navigate({ to: "/jobs/$job", params: { job: job.id } })}
              fill
              keys
              empty={
                filtered || search.cursor ? (
                  <Notice shape="slash" title="No job matches">
                    <p>The filters are applied on the server, to all jobs you may see.</p>
                    <button type="button" className="button" onClick={() => change(search.group ? { group: search.group } : {})}>
                      Remove the filters
                    </button>
                  </Notice>
                ) : (
                  <Notice title="No jobs yet">
                    <p>
                      <code className="mono">muster job submit -f job.yaml</code> puts the first one into the queue.
                    </p>
                  </Notice>
                )
              }
            />
          ) : error ? (
            <Failure error={error} retry={() => void refetch()} />
          ) : (
            <Skeleton lines={14} />
          )}
          {pill ? (
            <button type="button" className="pill" onClick={held.take} style={{ bottom: 52 }}>
              {pill}: show
            </button>
          ) : null}
          {data ? <Pager search={search} shown={held.rows.length} next={data.next_cursor} onChange={change} /> : null}
        </section>
      </div>
    </div>
  );
}

function Pager({
  search,
  shown,
  next,
  onChange,
}: {
  search: JobSearch;
  shown: number;
  next: string | null;
  onChange: (next: JobSearch) => void;
}): React.ReactNode {
  const { cursor, sort, ...rest } = search;
  return (
    <nav className="pager" aria-label="Pages of the list">
      <span>
        {shown} {sort ? "oldest" : "newest"} first{cursor ? ", further on" : ""}
      </span>
      <button type="button" className="button plain small" onClick={() => onChange(sort ? rest : { ...rest, sort: "submitted_at" })}>
        <Icon name={sort ? "up" : "down"} size={12} />
        {sort ? "Newest first" : "Oldest first"}
      </button>
      <span className="grow" />
      {cursor ? (
        <button type="button" className="button small" onClick={() => onChange({ ...rest, ...(sort ? { sort } : {}) })}>
          First page
        </button>
      ) : null}
      <button type="button" className="button small" disabled={next === null} onClick={() => next !== null && onChange({ ...search, cursor: next })}>
        Next {PAGE_SIZE}
      </button>
    </nav>
  );
}
