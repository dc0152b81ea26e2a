import { useQuery } from "@tanstack/react-query";
import type { AttemptView, JobView, WorkerView } from "@muster/model";
import { useMemo, useState } from "react";
import { attemptsQuery, workersQuery } from "../../api/queries.ts";
import { send } from "../../api/client.ts";
import { bytes } from "../../lib/format.ts";
import type { JobPageSearch } from "../../lib/url-state.ts";
import { workerLook } from "../../lib/words.ts";
import { Icon } from "../../ui/icons.tsx";
import { Notice } from "../../ui/notice.tsx";
import { useSay } from "../../ui/toast.tsx";
import { AttemptChoice } from "./attempt-choice.tsx";
import { LogView } from "./log-view.tsx";
import { useLog } from "./use-log.ts";

interface Props {
  job: JobView;
  search: JobPageSearch;
  onSearch: (next: JobPageSearch) => void;
}

/** The worker to show when none was asked for: the one that failed, else that of rank 0. */
export function likeliestWorker(workers: readonly WorkerView[], attempt: AttemptView | undefined): string | undefined {
  const failed =
    attempt?.failure?.worker ??
    workers.find((worker) => worker.state === "lost" || (worker.state === "exited" && worker.desired === "run" && worker.exit_code !== 0))?.worker;
  const byRank = [...workers].sort((a, b) => a.first_rank - b.first_rank);
  return failed ?? byRank[0]?.worker;
}

export function Logs({ job, search, onSearch }: Props): React.ReactNode {
  const number = search.attempt ?? job.attempt;
  const attempts = useQuery(attemptsQuery(job.id));
  const workers = useQuery({ ...workersQuery(job.id, number), enabled: number > 0 });
  const known = useMemo(
    () => (workers.data ?? []).filter((worker) => worker.attempt === number).sort((a, b) => a.role.localeCompare(b.role) || a.node_rank - b.node_rank),
    [workers.data, number],
  );
  const attempt = attempts.data?.find((item) => item.number === number);
  const worker = search.worker ?? likeliestWorker(known, attempt);
  const [follow, setFollow] = useState(true);
  const log = useLog(worker === undefined || number === 0 ? undefined : { job: job.id, attempt: number, worker }, follow);
  const chosen = known.find((item) => item.worker === worker);

  if (number === 0)
    return (
      <section className="panel grow-panel">
        <Notice title="No log yet">
          <p>It is written once the job has a place and its workers start.</p>
        </Notice>
      </section>
    );
  return (
    <section className="panel grow-panel" aria-label="Log">
      <header className="log-head">
        <AttemptChoice
          attempts={attempts.data ?? []}
          value={number}
          current={job.attempt}
          onPick={(next) => {
            const { worker: _, ...rest } = search;
            onSearch({ ...rest, attempt: next });
          }}
        />
        <label className="spread">
          <span className="muted">Worker</span>
          <select
            className="input mono"
            style={{ height: 26 }}
            value={worker ?? ""}
            onChange={(event) => onSearch({ ...search, attempt: number, worker: event.target.value })}
          >
            {worker !== undefined && !chosen ? <option value={worker}>{worker}</option> : null}
            {known.map((item) => (
              <option key={item.worker} value={item.worker}>
                {item.worker} · {workerLook(item).label.toLowerCase()} · {item.node}
              </option>
            ))}
          </select>
        </label>
        <span className="more spread">
          {chosen ? <span className="faint nowrap">{bytes(Math.max(chosen.log_size, log.state.next))}</span> : null}
          {worker === undefined ? null : <Download job={job.id} attempt={number} worker={worker} />}
        </span>
      </header>
      <LogView
        key={`${number}/${worker}`}
        log={log}
        follow={follow}
        onFollow={setFollow}
        find={search.find ?? ""}
        onFind={(find) => {
          const { find: _, ...rest } = search;
          onSearch(find === "" ? rest : { ...rest, find });
        }}
      />
    </section>
  );
}

function Download({ job, attempt, worker }: { job: string; attempt: number; worker: string }): React.ReactNode {
  const say = useSay();
  const save = async (): Promise<void> => {
    try {
      const response = await send(`/v1/jobs/${encodeURIComponent(job)}/logs?${new URLSearchParams({ attempt: String(attempt), worker })}`, {
        headers: { accept: "text/plain" },
      });
      const url = URL.createObjectURL(await response.blob());
      const link = document.createElement("a");
      link.href = url;
      link.download = `${job}-attempt-${attempt}-${worker.replaceAll(/[^\w.-]+/g, "-")}.log`;
      link.click();
      URL.revokeObjectURL(url);
    } catch (error) {
      say("bad", "The log could not be saved", error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <button type="button" className="button plain small" onClick={() => void save()} title="Save as a file">
      <Icon name="save" size={13} />
      Save
    </button>
  );
}
