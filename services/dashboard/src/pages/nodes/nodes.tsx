import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import type { NodeView } from "@muster/model";
import { useEffect, useMemo, useState } from "react";
import { nodesQuery, poolsQuery } from "../../api/queries.ts";
import { count, plural } from "../../lib/format.ts";
import { filterNodes, freeDevices, healthCounts, sortNodes } from "../../lib/nodes.ts";
import { NODE_SHOWS, parseNodeSearch } from "../../lib/url-state.ts";
import type { NodeSearch } from "../../lib/url-state.ts";
import { NODE_LOOK } from "../../lib/words.ts";
import { leaveTrail } from "../../shell/trail.ts";
import { Failure, Notice, Skeleton } from "../../ui/notice.tsx";
import { ShapeMark } from "../../ui/shape.tsx";
import { State } from "../../ui/state.tsx";
import { Table } from "../../ui/table.tsx";
import type { Column } from "../../ui/table.tsx";
import { Ago, Since } from "../../ui/time.tsx";
import { NodeActions } from "./node-actions.tsx";
import { Occupancy } from "./occupancy.tsx";

const SHOW_WORDS: Readonly<Record<(typeof NODE_SHOWS)[number], string>> = { broken: "Out of service", free: "With free devices", busy: "In use", idle: "Idle" };

export function NodeState({ node }: { node: Pick<NodeView, "health" | "reachable"> }): React.ReactNode {
  return (
    <span className="spread" style={{ gap: 6 }}>
      <State look={NODE_LOOK[node.health]} />
      {node.reachable ? null : (
        <span className="tag" data-tone="bad">
          silent
        </span>
      )}
    </span>
  );
}

const COLUMNS: readonly Column<NodeView>[] = [
  { id: "state", header: "State", min: 146, tight: 100, cell: (node) => <NodeState node={node} /> },
  {
    id: "name",
    header: "Node",
    min: 118,
    tight: 108,
    grow: 1,
    cell: (node) => (
      <Link to="/nodes/$node" params={{ node: node.name }} className="mono">
        {node.name}
      </Link>
    ),
  },
  { id: "devices", header: "Devices", min: 128, tight: 112, cell: (node) => <Occupancy node={node} /> },
  { id: "free", header: "Free", min: 34, end: true, yields: 5, cell: (node) => (freeDevices(node) > 0 ? freeDevices(node) : <span className="faint">0</span>) },
  { id: "pool", header: "Pool", min: 90, grow: 1, yields: 3, cell: (node) => <span title={node.accelerator}>{node.pool}</span> },
  {
    id: "fabric",
    header: "Leaf",
    min: 84,
    grow: 1,
    yields: 6,
    cell: (node) => (
      <span className="mono muted" title={node.fabric.join(" / ")}>
        {node.fabric.findLast((part) => part !== node.name) ?? ""}
      </span>
    ),
  },
  {
    id: "reason",
    header: "Reason",
    min: 110,
    grow: 3,
    yields: 2,
    cell: (node) => <span title={node.health_reason ?? undefined}>{node.health_reason ?? ""}</span>,
  },
  {
    id: "who",
    header: "By",
    min: 74,
    grow: 1,
    yields: 7,
    cell: (node) => <span className="muted">{node.health === "ready" ? "" : (node.health_actor ?? "")}</span>,
  },
  { id: "since", header: "Since", min: 42, end: true, yields: 4, cell: (node) => <Since at={node.health_since} short /> },
  {
    id: "jobs",
    header: "Jobs",
    min: 44,
    end: true,
    yields: 5,
    cell: (node) =>
      node.jobs.length > 0 ? (
        <Link to="/jobs" search={{ node: node.name }} title={node.jobs.join("\n")}>
          {node.jobs.length}
        </Link>
      ) : (
        <span className="faint">0</span>
      ),
  },
  { id: "seen", header: "Heard", min: 62, end: true, yields: 8, cell: (node) => <Ago at={node.last_seen} empty="never" /> },
  {
    id: "act",
    header: <span className="hidden-text">Actions</span>,
    min: 26,
    end: true,
    loose: true,
    yields: 9,
    cell: (node) => <NodeActions node={node} compact />,
  },
];

export function NodesPage(): React.ReactNode {
  const search = useSearch({ from: "/nodes" });
  const navigate = useNavigate();
  const { data, error, refetch } = useQuery(nodesQuery);
  const pools = useQuery(poolsQuery);
  const change = (next: { [Key in keyof NodeSearch]?: NodeSearch[Key] | "" }): void =>
    void navigate({ to: "/nodes", search: parseNodeSearch({ ...search, ...next }) });
  useEffect(() => leaveTrail.nodes(search), [search]);
  const inPool = useMemo(() => filterNodes(data ?? [], search.pool === undefined ? {} : { pool: search.pool }), [data, search.pool]);
  const rows = useMemo(() => sortNodes(filterNodes(data ?? [], search)), [data, search]);
  const devices = rows.reduce((sum, node) => sum + node.devices, 0);
  const free = rows.reduce((sum, node) => sum + freeDevices(node), 0);
  const names = pools.data?.map((pool) => pool.name) ?? [...new Set((data ?? []).map((node) => node.pool))];

  return (
    <div className="page whole">
      <div className="page-head">
        <h1>Nodes</h1>
        <div className="spread wrap" role="group" aria-label="Health">
          {healthCounts(inPool).map(({ health, nodes }) => (
            <button
              key={health}
              type="button"
              className="chip"
              data-tone={NODE_LOOK[health].tone}
              aria-pressed={search.health === health}
              onClick={() => change({ health: search.health === health ? "" : health })}
            >
              <span className="toned" style={{ display: "flex" }}>
                <ShapeMark shape={NODE_LOOK[health].shape} size={11} />
              </span>
              {NODE_LOOK[health].label} <b>{count(nodes)}</b>
            </button>
          ))}
        </div>
      </div>
      <section className="panel grow-panel" aria-label="Nodes">
        <search className="filters">
          <NameFilter value={search.name ?? ""} onChange={(name) => change({ name })} />
          <select
            className="input"
            aria-label="Pool"
            data-set={search.pool !== undefined}
            value={search.pool ?? ""}
            onChange={(event) => change({ pool: event.target.value })}
          >
            <option value="">Pool: any</option>
            {[...new Set([...names, ...(search.pool === undefined ? [] : [search.pool])])].map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
          {NODE_SHOWS.map((show) => (
            <button
              key={show}
              type="button"
              className="chip"
              aria-pressed={search.show === show}
              onClick={() => change({ show: search.show === show ? "" : show })}
            >
              {SHOW_WORDS[show]}
            </button>
          ))}
        </search>
        {data ? (
          <Table
            label="Nodes"
            columns={COLUMNS}
            rows={rows}
            rowId={(node) => node.name}
            onOpen={(node) => void navigate({ to: "/nodes/$node", params: { node: node.name } })}
            fill
            keys
            empty={
              data.length === 0 ? (
                <Notice title="No node is registered">
                  <p>
                    Describe nodes in a file, then <code className="mono">muster apply -f nodes.yaml</code>.
                  </p>
                </Notice>
              ) : (
                <Notice shape="slash" title="No node matches">
                  <button type="button" className="button" onClick={() => void navigate({ to: "/nodes", search: {} })}>
                    Remove the filters
                  </button>
                </Notice>
              )
            }
          />
        ) : error ? (
          <Failure error={error} retry={() => void refetch()} />
        ) : (
          <Skeleton lines={14} />
        )}
        {data ? (
          <div className="pager">
            {plural(rows.length, "node")}
            {rows.length < data.length ? ` of ${count(data.length)}` : ""} · {plural(devices, "device")}, {count(free)} free
          </div>
        ) : null}
      </section>
    </div>
  );
}

function NameFilter({ value, onChange }: { value: string; onChange: (name: string) => void }): React.ReactNode {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed.trim() === value) return undefined;
    const timer = setTimeout(() => onChange(typed.trim()), 200);
    return () => clearTimeout(timer);
  }, [typed, value, onChange]);
  return (
    <input
      className="input"
      type="search"
      data-filter
      aria-label="Node, place in the fabric or job"
      placeholder="Node, fabric or job…  (f)"
      spellCheck={false}
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
    />
  );
}
