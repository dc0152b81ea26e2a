import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import type { JobView, NodeView } from "@muster/model";
import { ApiError } from "../../api/client.ts";
import { eventsQuery, jobsQuery, nodeQueryOf } from "../../api/queries.ts";
import { bytes, decimal, plural, shares } from "../../lib/format.ts";
import { freeDevices, heldShares } from "../../lib/nodes.ts";
import { lastNodes } from "../../shell/trail.ts";
import { EventList } from "../../ui/event-list.tsx";
import { Meter } from "../../ui/meter.tsx";
import { Failure, Notice, Skeleton } from "../../ui/notice.tsx";
import { Table } from "../../ui/table.tsx";
import { Ago, Moment, Since } from "../../ui/time.tsx";
import { JOB_COLUMNS } from "../jobs/columns.tsx";
import { NodeActions } from "./node-actions.tsx";
import { NodeState } from "./nodes.tsx";
import { Occupancy } from "./occupancy.tsx";

export function NodePage(): React.ReactNode {
  const { node: name } = useParams({ from: "/nodes/$node" });
  const { data: node, error, refetch } = useQuery(nodeQueryOf(name));
  return (
    <div className="page">
      <div className="page-head">
        <div className="grow">
          <div className="crumbs">
            <Link to="/nodes" search={lastNodes()} data-parent>
              Nodes
            </Link>
            {node ? (
              <>
                <span className="faint">/</span>
                <Link to="/nodes" search={{ pool: node.pool }}>
                  {node.pool}
                </Link>
                {node.fabric.length > 0 ? <span className="faint mono">/ {node.fabric.join(" / ")}</span> : null}
              </>
            ) : null}
          </div>
          <h1 className="clip">{name}</h1>
        </div>
        {node ? <NodeActions node={node} /> : null}
      </div>
      {node ? (
        <NodeBody node={node} />
      ) : error instanceof ApiError && error.status === 404 ? (
        <Notice shape="slash" title="There is no such node" />
      ) : error ? (
        <Failure error={error} retry={() => void refetch()} />
      ) : (
        <Skeleton lines={10} />
      )}
    </div>
  );
}

function NodeBody({ node }: { node: NodeView }): React.ReactNode {
  const navigate = useNavigate();
  const jobs = useQuery(jobsQuery(new URLSearchParams({ node: node.name, limit: "100" })));
  const events = useQuery(eventsQuery(new URLSearchParams({ node: node.name, limit: "50" })));
  return (
    <>
      <div className="job-strip">
        <div className="cell">
          <strong>
            <NodeState node={node} />
          </strong>
          <span className="muted">
            for <Since at={node.health_since} />
            {node.health_actor ? ` by ${node.health_actor}` : ""}
          </span>
        </div>
        {node.health_reason ? (
          <div className="cell wide">
            <strong className="clip" title={node.health_reason}>
              {node.health_reason}
            </strong>
            <span className="muted">
              {node.drain_deadline ? (
                <>
                  drains until <Moment at={node.drain_deadline} />
                </>
              ) : (
                "the reason of its state"
              )}
            </span>
          </div>
        ) : null}
        <div className="cell">
          <strong>{node.schedulable ? "takes work" : "takes no work"}</strong>
          <span className="muted">
            heard <Ago at={node.last_seen} empty="never" />
          </span>
        </div>
        <div className="cell">
          <strong>
            {plural(node.devices, "device")} <span className="faint">{node.accelerator}</span>
          </strong>
          <span className="muted">
            {shares(heldShares(node))} held, {freeDevices(node)} free
          </span>
        </div>
        {node.faults ? (
          <div className="cell" title="of its own, warnings counted half">
            <strong>{plural(node.faults.episodes, "fault")} in 28 days</strong>
            <span className="muted">
              score {decimal(node.faults.score)}
              {node.faults.repairs > 0 ? `, repaired ${plural(node.faults.repairs, "time")}` : ""}
            </span>
          </div>
        ) : null}
        <Amount name="cpus" held={node.cpus_held} of={node.cpus} text={(value) => decimal(value)} />
        <Amount name="memory" held={node.memory_held} of={node.memory} text={bytes} />
      </div>
      <div className="job-overview">
        <div className="job-main">
          <section className="panel" aria-labelledby="jobs-here">
            <header>
              <h2 id="jobs-here">Jobs on it now</h2>
            </header>
            {jobs.data ? (
              <Table<JobView>
                label="Jobs on this node"
                columns={JOB_COLUMNS}
                rows={jobs.data.items}
                rowId={(job) => job.id}
                onOpen={(job) => void navigate({ to: "/jobs/$job", params: { job: job.id } })}
                keys
                empty={<p className="none faint">Nothing runs here.</p>}
              />
            ) : jobs.error ? (
              <Failure error={jobs.error} />
            ) : (
              <Skeleton lines={3} />
            )}
          </section>
          <section className="panel" aria-labelledby="node-events">
            <header>
              <h2 id="node-events">Events</h2>
              <Link to="/events" search={{ node: node.name }} className="more">
                All
              </Link>
            </header>
            {events.data ? <EventList events={events.data.items} within="node" /> : events.error ? <Failure error={events.error} /> : <Skeleton />}
          </section>
        </div>
        <div className="job-side">
          <section className="panel" aria-labelledby="node-devices">
            <header>
              <h2 id="node-devices">Devices</h2>
            </header>
            <div className="body">
              {node.devices === 0 ? (
                <p className="muted">It has none: jobs here share its cpus.</p>
              ) : (
                <>
                  <Occupancy node={node} large />
                  <ul className="device-list">
                    {node.held.map((held, index) => (
                      <li key={index}>
                        <span className="mono">{index}</span>
                        <Meter value={held} of={1000} label={`Device ${index}`} tone={node.schedulable ? "run" : "warn"} />
                        <span className="num">{held === 0 ? <span className="faint">free</span> : held === 1000 ? "held" : `${held / 10}%`}</span>
                      </li>
                    ))}
                  </ul>
                </>
              )}
            </div>
          </section>
          <section className="panel" aria-labelledby="node-facts">
            <header>
              <h2 id="node-facts">Node</h2>
            </header>
            <dl className="facts">
              <div>
                <dt>Vendor</dt>
                <dd>{node.vendor}</dd>
              </div>
              <div>
                <dt>Address</dt>
                <dd className="mono">{node.address}</dd>
              </div>
              <div>
                <dt>Kept by</dt>
                <dd className="mono">{node.shard}</dd>
              </div>
              {Object.entries(node.labels).map(([key, value]) => (
                <div key={key}>
                  <dt className="clip">{key}</dt>
                  <dd className="clip">{value}</dd>
                </div>
              ))}
            </dl>
          </section>
        </div>
      </div>
    </>
  );
}

function Amount({ name, held, of, text }: { name: string; held: number; of: number; text: (value: number) => string }): React.ReactNode {
  return (
    <div className="cell">
      <strong>
        {text(held)} <span className="faint">of {text(of)}</span>
      </strong>
      <span className="muted">{name} held</span>
    </div>
  );
}
