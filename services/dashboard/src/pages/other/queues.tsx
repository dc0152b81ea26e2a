import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { QueueView } from "@muster/model";
import { poolsQuery, queuesQuery } from "../../api/queries.ts";
import { count, decimal } from "../../lib/format.ts";
import { Failure, Notice, Skeleton } from "../../ui/notice.tsx";
import { State } from "../../ui/state.tsx";
import { Pools } from "../overview/pools.tsx";

const amounts = (value: Record<string, number> | undefined): string =>
  value === undefined
    ? ""
    : Object.entries(value)
        .map(([name, amount]) => `${decimal(amount)} ${name}`)
        .join(", ");

export function QueuesPage(): React.ReactNode {
  const queues = useQuery(queuesQuery);
  const pools = useQuery(poolsQuery);
  return (
    <div className="page">
      <h1>Queues and pools</h1>
      <section className="panel" aria-labelledby="queues">
        <header>
          <h2 id="queues">Queues</h2>
        </header>
        {queues.data ? <Queues queues={queues.data} /> : queues.error ? <Failure error={queues.error} retry={() => void queues.refetch()} /> : <Skeleton />}
      </section>
      {pools.data ? <Pools pools={pools.data} /> : pools.error ? <Failure error={pools.error} retry={() => void pools.refetch()} /> : <Skeleton />}
    </div>
  );
}

/** Queues as the tree that they are: children under their parents, indented. */
export function asTree(queues: readonly QueueView[]): { queue: QueueView; depth: number }[] {
  const names = new Set(queues.map((queue) => queue.name));
  const rows: { queue: QueueView; depth: number }[] = [];
  const addUnder = (parent: string | undefined, depth: number): void => {
    const children = queues.filter((queue) => (parent === undefined ? queue.parent === undefined || !names.has(queue.parent) : queue.parent === parent));
    for (const queue of children.sort((a, b) => a.name.localeCompare(b.name))) {
      rows.push({ queue, depth });
      addUnder(queue.name, depth + 1);
    }
  };
  addUnder(undefined, 0);
  return rows;
}

function Queues({ queues }: { queues: readonly QueueView[] }): React.ReactNode {
  if (queues.length === 0) return <Notice title="There is no queue yet" />;
  return (
    <div className="scroll-x">
      <table className="plain-table">
        <thead>
          <tr>
            <th>Queue</th>
            <th>State</th>
            <th className="end">Waiting</th>
            <th className="end lesser">for devices</th>
            <th className="end">Active</th>
            <th className="end lesser">on devices</th>
            <th className="end lesser">Weight</th>
            <th className="lesser">Order</th>
            <th>Quota</th>
            <th className="lesser">May borrow</th>
            <th className="lesser">Projects</th>
          </tr>
        </thead>
        <tbody>
          {asTree(queues).map(({ queue, depth }) => (
            <tr key={queue.name}>
              <td className="nowrap" style={{ paddingLeft: 12 + depth * 18 }}>
                <Link to="/jobs" search={{ queue: queue.name }}>
                  <strong>{queue.name}</strong>
                </Link>
              </td>
              <td>
                {queue.paused ? (
                  <State look={{ label: "Paused", tone: "hold", shape: "pause" }} />
                ) : (
                  <State look={{ label: "Open", tone: "run", shape: "dot" }} />
                )}
              </td>
              <td className="end">
                <Link to="/jobs" search={{ queue: queue.name, state: "queued" }}>
                  {count(queue.waiting.jobs)}
                </Link>
              </td>
              <td className="end muted lesser">{count(queue.waiting.devices)}</td>
              <td className="end">
                <Link to="/jobs" search={{ queue: queue.name, state: "scheduled,starting,running,recovering,stopping" }}>
                  {count(queue.active.jobs)}
                </Link>
              </td>
              <td className="end muted lesser">{count(queue.active.devices)}</td>
              <td className="end lesser">{decimal(queue.weight)}</td>
              <td className="muted nowrap lesser">{queue.order.replace("_", " ")}</td>
              <td className="nowrap">{amounts(queue.nominal) || <span className="faint">none: no limit</span>}</td>
              <td className="nowrap lesser">{amounts(queue.borrow_limit) || <span className="faint">{queue.nominal ? "without limit" : "–"}</span>}</td>
              <td className="muted lesser">{queue.projects.includes("*") ? "all" : queue.projects.join(", ") || "none"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
