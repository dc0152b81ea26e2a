import { Link } from "@tanstack/react-router";
import type { AttemptView, JobView } from "@muster/model";
import { useMemo } from "react";
import { count, duration, humanize } from "../../lib/format.ts";
import { lostSteps, recoverySeconds } from "../../lib/timeline.ts";
import { attemptLook, FAILURE_WORDS } from "../../lib/words.ts";
import { State } from "../../ui/state.tsx";
import { Table } from "../../ui/table.tsx";
import type { Column } from "../../ui/table.tsx";
import { Ago, Since } from "../../ui/time.tsx";

interface Row {
  attempt: AttemptView;
  previous: AttemptView | undefined;
}

const none = <span className="faint">–</span>;
const ran = ({ started_at: from, ended_at: to }: AttemptView): React.ReactNode =>
  from === null ? none : to === null ? <Since at={from} /> : duration((Date.parse(to) - Date.parse(from)) / 1000);

/** Every attempt, newest first: how it ended and what that cost. */
export function Attempts({ job, attempts }: { job: JobView; attempts: readonly AttemptView[] }): React.ReactNode {
  const rows = useMemo<Row[]>(() => {
    const ordered = [...attempts].sort((a, b) => a.number - b.number);
    return ordered.map((attempt, index) => ({ attempt, previous: ordered[index - 1] })).reverse();
  }, [attempts]);
  const columns = useMemo<readonly Column<Row>[]>(
    () => [
      { id: "number", header: "#", min: 26, cell: ({ attempt }) => <span className="mono">{attempt.number}</span> },
      { id: "state", header: "State", min: 104, tight: 88, cell: ({ attempt }) => <State look={attemptLook(attempt)} /> },
      {
        id: "why",
        header: "Cause",
        min: 150,
        tight: 96,
        grow: 5,
        cell: ({ attempt }) =>
          attempt.failure ? (
            <span title={[attempt.failure.message, ...attempt.failure.evidence].join("\n")}>
              <span className="muted">{FAILURE_WORDS[attempt.failure.class]}:</span> {attempt.failure.message}
            </span>
          ) : (
            <span className="faint">{attempt.resume_reason ? `begun: ${humanize(attempt.resume_reason).toLowerCase()}` : ""}</span>
          ),
      },
      {
        id: "nodes",
        header: "Nodes",
        min: 90,
        grow: 1,
        yields: 3,
        cell: ({ attempt }) => (
          <span className="mono muted" title={attempt.nodes.join(", ")}>
            {attempt.nodes.join(", ")}
          </span>
        ),
      },
      { id: "ran", header: "Ran", min: 64, end: true, yields: 2, cell: ({ attempt }) => ran(attempt) },
      {
        id: "steps",
        header: "Steps",
        min: 92,
        end: true,
        yields: 2,
        cell: ({ attempt }) =>
          attempt.last_step === null ? none : `${count(attempt.first_step ?? attempt.resumed_from_step ?? 0)}–${count(attempt.last_step)}`,
      },
      {
        id: "lost",
        header: "Made again",
        min: 68,
        end: true,
        yields: 5,
        cell: ({ attempt, previous }) => {
          const lost = lostSteps(previous, attempt);
          return lost === undefined ? none : <span className={lost > 0 ? "" : "faint"}>{count(lost)}</span>;
        },
      },
      {
        id: "recovery",
        header: "Recovered in",
        min: 78,
        end: true,
        yields: 6,
        cell: ({ attempt, previous }) => {
          const seconds = recoverySeconds(previous, attempt);
          return seconds === undefined ? none : duration(seconds);
        },
      },
      { id: "scheduled", header: "Scheduled", min: 68, end: true, yields: 4, cell: ({ attempt }) => <Ago at={attempt.scheduled_at} /> },
      {
        id: "logs",
        header: <span className="hidden-text">Logs</span>,
        min: 34,
        end: true,
        cell: ({ attempt }) => (
          <Link
            to="/jobs/$job"
            params={{ job: job.id }}
            search={{ tab: "logs", attempt: attempt.number, ...(attempt.failure?.worker ? { worker: attempt.failure.worker } : {}) }}
            className="linked"
          >
            logs
          </Link>
        ),
      },
    ],
    [job.id],
  );
  return (
    <section className="panel" aria-labelledby="attempts">
      <header>
        <h2 id="attempts">Attempts</h2>
      </header>
      <Table
        label="Attempts"
        columns={columns}
        rows={rows}
        rowId={({ attempt }) => String(attempt.number)}
        maxHeight={288}
        empty={<p className="none faint">It has not been started yet.</p>}
      />
    </section>
  );
}
