import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { JobView, WorkerView } from "@muster/model";
import { useMemo } from "react";
import { attemptsQuery, workersQuery } from "../../api/queries.ts";
import { bytes, decimal, plural, ranges } from "../../lib/format.ts";
import type { JobPageSearch } from "../../lib/url-state.ts";
import { workerLook } from "../../lib/words.ts";
import { Failure, Notice, Skeleton } from "../../ui/notice.tsx";
import { State } from "../../ui/state.tsx";
import { Table } from "../../ui/table.tsx";
import type { Column } from "../../ui/table.tsx";
import { Since } from "../../ui/time.tsx";
import { AttemptChoice } from "./attempt-choice.tsx";

interface Props {
  job: JobView;
  search: JobPageSearch;
  onSearch: (next: JobPageSearch) => void;
}

/** Every worker of one attempt, by rank. */
export function Workers({ job, search, onSearch }: Props): React.ReactNode {
  const number = search.attempt ?? job.attempt;
  const attempts = useQuery(attemptsQuery(job.id));
  const { data, error, refetch } = useQuery({ ...workersQuery(job.id, number), enabled: number > 0 });
  const rows = useMemo(() => [...(data ?? [])].sort((a, b) => a.role.localeCompare(b.role) || a.node_rank - b.node_rank), [data]);
  const columns = useMemo<readonly Column<WorkerView>[]>(
    () => [
      { id: "worker", header: "Worker", min: 92, cell: (worker) => <span className="mono">{worker.worker}</span> },
      { id: "state", header: "State", min: 112, cell: (worker) => <State look={workerLook(worker)} /> },
      {
        id: "ranks",
        header: "Ranks",
        min: 62,
        end: true,
        yields: 3,
        cell: (worker) => (worker.ranks > 1 ? `${worker.first_rank}–${worker.first_rank + worker.ranks - 1}` : worker.first_rank),
      },
      {
        id: "node",
        header: "Node",
        min: 110,
        grow: 2,
        cell: (worker) => (
          <Link to="/nodes/$node" params={{ node: worker.node }} className="mono">
            {worker.node}
          </Link>
        ),
      },
      {
        id: "devices",
        header: "Devices",
        min: 80,
        grow: 1,
        yields: 2,
        cell: (worker) =>
          worker.devices.length === 0 ? (
            <span className="faint">none</span>
          ) : (
            <span className="mono">
              {ranges(worker.devices)}
              {worker.share < 1000 ? ` (${decimal(worker.share / 1000)})` : ""}
            </span>
          ),
      },
      {
        id: "exit",
        header: "Exit",
        min: 76,
        yields: 1,
        cell: (worker) =>
          worker.oom ? (
            <span data-tone="bad" className="toned">
              out of memory
            </span>
          ) : (
            (worker.signal ??
            (worker.exit_code === null ? (
              <span className="faint">–</span>
            ) : (
              <span data-tone={workerLook(worker).tone} className="toned">
                code {worker.exit_code}
              </span>
            )))
          ),
      },
      {
        id: "reason",
        header: "Reason",
        min: 90,
        grow: 2,
        yields: 5,
        cell: (worker) => (
          <span className="muted" title={worker.reason ?? undefined}>
            {worker.reason ?? ""}
          </span>
        ),
      },
      {
        id: "up",
        header: "Up",
        min: 70,
        end: true,
        yields: 4,
        cell: (worker) => (worker.ended_at && worker.started_at ? <span className="faint">ended</span> : <Since at={worker.started_at} />),
      },
      {
        id: "log",
        header: "Log",
        min: 76,
        end: true,
        cell: (worker) => (
          <Link to="/jobs/$job" params={{ job: job.id }} search={{ tab: "logs", attempt: worker.attempt, worker: worker.worker }} className="linked">
            {bytes(worker.log_size)}
          </Link>
        ),
      },
    ],
    [job.id],
  );
  const up = rows.filter((worker) => worker.state === "running").length;
  return (
    <section className="panel grow-panel" aria-label="Workers">
      <header>
        <AttemptChoice attempts={attempts.data ?? []} value={number} current={job.attempt} onPick={(attempt) => onSearch({ ...search, attempt })} />
        <span className="more">{rows.length > 0 ? `${up} of ${plural(rows.length, "worker")} up` : ""}</span>
      </header>
      {number === 0 ? (
        <Notice title="No worker yet">
          <p>Workers are there once the job has a place.</p>
        </Notice>
      ) : data ? (
        <Table
          label="Workers"
          columns={columns}
          rows={rows}
          rowId={(worker) => `${worker.attempt}/${worker.worker}`}
          fill
          keys
          onOpen={(worker) => onSearch({ tab: "logs", attempt: worker.attempt, worker: worker.worker })}
          empty={<Notice title="This attempt has no workers" />}
        />
      ) : error ? (
        <Failure error={error} retry={() => void refetch()} />
      ) : (
        <Skeleton lines={8} />
      )}
    </section>
  );
}
