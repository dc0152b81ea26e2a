import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { checkpointsQuery } from "../../api/queries.ts";
import type { CheckpointView } from "../../api/queries.ts";
import { count } from "../../lib/format.ts";
import type { Look } from "../../lib/words.ts";
import { Failure, Notice, Skeleton } from "../../ui/notice.tsx";
import { State } from "../../ui/state.tsx";
import { Table } from "../../ui/table.tsx";
import type { Column } from "../../ui/table.tsx";
import { Ago } from "../../ui/time.tsx";

function lookOf(checkpoint: CheckpointView): Look {
  if (checkpoint.pruned) return { label: "Pruned", tone: "quiet", shape: "slash" };
  if (checkpoint.seal_error !== null) return { label: "Not sealed", tone: "bad", shape: "triangle" };
  if (checkpoint.sealed_at !== null) return { label: "Sealed", tone: "done", shape: "check" };
  return { label: "Accepted", tone: "begin", shape: "dot-ring" };
}

const COLUMNS: readonly Column<CheckpointView>[] = [
  { id: "step", header: "Step", min: 80, end: true, cell: (checkpoint) => <strong>{count(checkpoint.step)}</strong> },
  { id: "state", header: "State", min: 104, cell: (checkpoint) => <State look={lookOf(checkpoint)} title={checkpoint.seal_error ?? undefined} /> },
  { id: "attempt", header: "Attempt", min: 56, end: true, yields: 1, cell: (checkpoint) => checkpoint.attempt },
  { id: "generation", header: "Generation", min: 70, end: true, yields: 4, cell: (checkpoint) => checkpoint.generation },
  {
    id: "path",
    header: "Path",
    min: 160,
    grow: 1,
    cell: (checkpoint) => (
      <span className="mono muted" title={checkpoint.sealed_path ?? checkpoint.path}>
        {checkpoint.sealed_path ?? checkpoint.path}
      </span>
    ),
  },
  { id: "at", header: "Committed", min: 80, end: true, yields: 2, cell: (checkpoint) => <Ago at={checkpoint.accepted_at} /> },
];

export function Checkpoints({ job }: { job: string }): React.ReactNode {
  const { data, error, refetch } = useQuery(checkpointsQuery(job));
  const rows = useMemo(() => [...(data ?? [])].sort((a, b) => b.id - a.id), [data]);
  return (
    <section className="panel grow-panel" aria-label="Checkpoints">
      {data ? (
        <Table
          label="Checkpoints"
          columns={COLUMNS}
          rows={rows}
          rowId={(checkpoint) => String(checkpoint.id)}
          fill
          keys
          empty={
            <Notice title="No checkpoint was committed">
              <p>A job commits by the API, by a marker file, or by a log line that its spec names. Without one, a restart begins at step 0.</p>
            </Notice>
          }
        />
      ) : error ? (
        <Failure error={error} retry={() => void refetch()} />
      ) : (
        <Skeleton />
      )}
    </section>
  );
}
