import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import type { IncidentView } from "@muster/model";
import { useMemo, useState } from "react";
import { incidentsQuery, PAGE_SIZE } from "../../api/queries.ts";
import { decimal, humanize } from "../../lib/format.ts";
import { costOf } from "../../lib/phases.ts";
import { SEVERITY_LOOK } from "../../lib/words.ts";
import { Failure, Notice, Skeleton } from "../../ui/notice.tsx";
import { Recovery } from "../../ui/recovery.tsx";
import { State } from "../../ui/state.tsx";
import { Ago, Moment, Since } from "../../ui/time.tsx";

/** Faults with their evidence: what was seen, what it was taken for, what was done. */
export function IncidentsPage(): React.ReactNode {
  const search = useSearch({ from: "/incidents" });
  const navigate = useNavigate();
  const all = search.open === "all";
  const { data, error, refetch } = useQuery(incidentsQuery(new URLSearchParams({ limit: String(PAGE_SIZE), ...(all ? {} : { open: "true" }) })));
  const rows = useMemo(() => (data?.items ?? []).filter((incident) => all || incident.closed_at === null), [data, all]);
  return (
    <div className="page whole">
      <div className="page-head">
        <h1>Incidents</h1>
        <div className="spread" role="group" aria-label="Which incidents">
          <button type="button" className="chip" aria-pressed={!all} onClick={() => void navigate({ to: "/incidents", search: {} })}>
            Open
          </button>
          <button type="button" className="chip" aria-pressed={all} onClick={() => void navigate({ to: "/incidents", search: { open: "all" } })}>
            Closed too
          </button>
        </div>
      </div>
      <section className="panel grow-panel" aria-label="Incidents">
        {data ? (
          rows.length > 0 ? (
            <ul className="incidents scroll">
              {rows.map((incident) => (
                <Incident key={incident.id} incident={incident} />
              ))}
            </ul>
          ) : (
            <Notice shape="check" tone="run" title={all ? "There never was an incident" : "No open incident"}>
              <p>A fault that Muster notices appears here with its evidence and what was done about it.</p>
              {all ? null : (
                <button type="button" className="button" onClick={() => void navigate({ to: "/incidents", search: { open: "all" } })}>
                  Show closed ones
                </button>
              )}
            </Notice>
          )
        ) : error ? (
          <Failure error={error} retry={() => void refetch()} />
        ) : (
          <Skeleton lines={10} />
        )}
      </section>
    </div>
  );
}

function Incident({ incident }: { incident: IncidentView }): React.ReactNode {
  const [open, setOpen] = useState(false);
  const look = SEVERITY_LOOK[incident.severity];
  const cost = costOf(incident);
  return (
    <li data-tone={incident.closed_at === null ? look.tone : "quiet"}>
      <div className="incident">
        <State look={incident.closed_at === null ? look : { label: "Closed", tone: "quiet", shape: "check" }} />
        <div className="what">
          <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
            {humanize(incident.kind)}
          </button>
          {incident.class ? <span className="tag">{incident.class}</span> : null}
          {incident.node ? (
            <Link to="/nodes/$node" params={{ node: incident.node }} className="mono muted">
              {incident.node}
            </Link>
          ) : null}
          {incident.job ? (
            <Link to="/jobs/$job" params={{ job: incident.job }} className={incident.job_name ? "muted" : "mono muted"} title={incident.job}>
              {incident.job_name ?? incident.job}
              {incident.attempt === null ? "" : ` #${incident.attempt}`}
            </Link>
          ) : null}
        </div>
        <span className="muted nowrap">
          {incident.closed_at === null ? (
            <>
              open for <Since at={incident.opened_at} />
            </>
          ) : (
            <>
              closed <Ago at={incident.closed_at} />
            </>
          )}
        </span>
      </div>
      <p className="muted">
        {incident.evidence[0] ?? ""}
        {incident.action ? <span className="done"> → {humanize(incident.action)}</span> : null}
        {open || cost.deviceHours === null || cost.deviceHours < 0.005 ? null : <span className="faint"> · {decimal(cost.deviceHours)} device-hours</span>}
      </p>
      {open ? (
        <div className="record">
          <dl>
            <div>
              <dt>When</dt>
              <dd>
                <Moment at={incident.opened_at} />
                {incident.closed_at === null ? null : (
                  <>
                    {" "}
                    to <Moment at={incident.closed_at} />
                  </>
                )}
              </dd>
            </div>
            <div>
              <dt>Taken for</dt>
              <dd>
                {incident.class ?? "not judged"}
                {incident.rule ? <span className="muted"> by rule {incident.rule}</span> : null}
              </dd>
            </div>
            <div>
              <dt>Done</dt>
              <dd>{incident.action ?? "nothing"}</dd>
            </div>
            {cost.attempts !== null && cost.attempts > 1 ? (
              <div>
                <dt>Attempts ended</dt>
                <dd>{cost.attempts}</dd>
              </div>
            ) : null}
          </dl>
          <Recovery cost={cost} />
          <pre className="evidence" aria-label="Evidence">
            {incident.evidence.join("\n") || "No further evidence."}
          </pre>
        </div>
      ) : null}
    </li>
  );
}
