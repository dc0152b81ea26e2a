import type { JobState, WaitReason } from "@muster/model";
import { JOB_STATES } from "@muster/model";
import { useQuery } from "@tanstack/react-query";
import { jobSummaryQuery } from "../../api/queries.ts";
import { count, humanize } from "../../lib/format.ts";
import { JOB_GROUPS, jobFilters, statesOf, toggleState, withFilter } from "../../lib/url-state.ts";
import type { JobGroup, JobSearch } from "../../lib/url-state.ts";
import { JOB_LOOK, WAIT_WORDS } from "../../lib/words.ts";
import { Skeleton } from "../../ui/notice.tsx";
import { ShapeMark } from "../../ui/shape.tsx";

interface Props {
  search: JobSearch;
  onChange: (next: JobSearch) => void;
}

/** One chip a state with its count under the other filters; several may be on. */
export function StateCounts({ search, onChange }: Props): React.ReactNode {
  const { state: _, ...others } = search;
  const { data } = useQuery(jobSummaryQuery(jobFilters(others), "state"));
  const counts = new Map((data?.groups ?? []).map((group) => [group.key["state"], group.jobs]));
  const picked = statesOf(search);
  const shown = JOB_STATES.filter((state) => (counts.get(state) ?? 0) > 0 || picked.includes(state));
  return (
    <div className="spread wrap" role="group" aria-label="States">
      {shown.map((state: JobState) => (
        <button
          key={state}
          type="button"
          className="chip"
          data-tone={JOB_LOOK[state].tone}
          aria-pressed={picked.includes(state)}
          onClick={() => onChange(toggleState(search, state))}
        >
          <span className="toned" style={{ display: "flex" }}>
            <ShapeMark shape={JOB_LOOK[state].shape} size={11} />
          </span>
          {JOB_LOOK[state].label} <b>{count(counts.get(state) ?? 0)}</b>
        </button>
      ))}
      {picked.length > 0 ? (
        <button type="button" className="button plain small" onClick={() => onChange(withFilter(search, { state: "" }))}>
          All states
        </button>
      ) : null}
    </div>
  );
}

/** Groups that are filters too; the others can only be counted. */
const FILTER_OF: Partial<Record<JobGroup, "reason" | "queue" | "project" | "submitter">> = {
  reason: "reason",
  queue: "queue",
  project: "project",
  submitter: "submitter",
};
const GROUP_WORDS: Readonly<Record<JobGroup, string>> = { reason: "Reason", queue: "Queue", project: "Project", priority: "Priority", submitter: "Submitter" };

/** Jobs and devices by one attribute, counted by the server under the same filters as the rows. */
export function JobGroups({ search, onChange }: Props): React.ReactNode {
  const group = search.group ?? "queue";
  const filter = FILTER_OF[group];
  const { [filter ?? "cursor"]: _, ...others } = search;
  const { data, isError } = useQuery(jobSummaryQuery(jobFilters(others), group));
  const groups = [...(data?.groups ?? [])].filter((item) => group !== "reason" || item.key["reason"] !== null).sort((a, b) => b.jobs - a.jobs);
  const most = Math.max(1, ...groups.map((item) => item.jobs));
  return (
    <aside className="panel groups" aria-label="Counts">
      <header>
        <label className="spread">
          <span className="muted">By</span>
          <select
            className="input"
            style={{ height: 24 }}
            value={group}
            onChange={(event) => onChange(withFilter(search, { group: event.target.value as JobGroup }))}
          >
            {JOB_GROUPS.map((item) => (
              <option key={item} value={item}>
                {GROUP_WORDS[item]}
              </option>
            ))}
          </select>
        </label>
        <span className="more">jobs · devices</span>
      </header>
      {data ? (
        <ul className="scroll">
          {groups.map((item) => {
            const key = item.key[group] ?? null;
            const text = key === null ? "none" : group === "reason" ? (WAIT_WORDS[key as WaitReason]?.label ?? humanize(key)) : key;
            const on = filter !== undefined && key !== null && search[filter] === key;
            return (
              <li key={key ?? ""}>
                <button
                  type="button"
                  aria-pressed={on}
                  disabled={filter === undefined || key === null}
                  onClick={() => filter && onChange(withFilter(search, { [filter]: on ? "" : key }))}
                >
                  <i style={{ width: `${(item.jobs / most) * 100}%` }} />
                  <span className={key === null ? "clip faint" : "clip"}>{text}</span>
                  <b>{count(item.jobs)}</b>
                  <span className="faint">{count(item.devices)}</span>
                </button>
              </li>
            );
          })}
          {groups.length === 0 ? <li className="faint none">nothing to count</li> : null}
        </ul>
      ) : isError ? (
        <p className="faint none">These counts could not be loaded.</p>
      ) : (
        <Skeleton lines={6} />
      )}
    </aside>
  );
}
