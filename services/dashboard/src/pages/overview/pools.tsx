import { Link } from "@tanstack/react-router";
import type { PoolView } from "@muster/model";
import { count, decimal } from "../../lib/format.ts";
import { gangSizes } from "../../lib/overview.ts";
import { Funnel } from "../../ui/funnel.tsx";
import { Notice } from "../../ui/notice.tsx";

/** Of each pool: how much there is, how much of it can be used, how much is, and what could start this minute. */
export function Pools({ pools, linked = false }: { pools: readonly PoolView[]; linked?: boolean }): React.ReactNode {
  return (
    <section className="panel" aria-labelledby="pools" style={{ flex: "none" }}>
      <header>
        <h2 id="pools">Pools</h2>
        <span className="legend" aria-hidden="true">
          <i className="held" /> held <i className="schedulable" /> free <i className="healthy" /> not schedulable <i className="out" /> out of order
        </span>
        {linked ? (
          <Link to="/queues" className="more">
            Queues and pools
          </Link>
        ) : null}
      </header>
      {pools.length === 0 ? (
        <Notice title="There is no pool yet">
          <p>
            Describe one and its nodes in a file, then <code className="mono">muster apply -f pool.yaml</code>.
          </p>
        </Notice>
      ) : (
        <div className="scroll scroll-x" style={{ maxHeight: 292 }}>
          <table className="plain-table pools">
            <thead>
              <tr>
                <th>Pool</th>
                <th className="wide">Devices</th>
                <th className="end lesser">Total</th>
                <th className="end lesser">Healthy</th>
                <th className="end lesser">Schedulable</th>
                <th className="end lesser">Held</th>
                <th className="end">Free</th>
                <th>Largest gang now</th>
              </tr>
            </thead>
            <tbody>
              {pools.map((pool) => (
                <Row key={pool.name} pool={pool} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** Those held back, and what they are sized from. */
function Spares({ pool }: { pool: PoolView }): React.ReactNode {
  const { spare_state: state } = pool;
  if (!state || (pool.spares === 0 && state.held_back === 0)) return null;
  const basis = `${state.advised} advised: ${decimal(state.daily_rate * 1000)} failures in 1,000 node-days (${state.failures} in ${count(Math.round(state.node_days))}), back after ${decimal(state.replenish_days)} days (${state.repairs} known)`;
  return (
    <span title={basis}>
      {" "}
      · {count(state.held_back)} spare{state.lent > 0 ? `, ${count(state.lent)} lent` : ""}, {count(state.advised)} advised
    </span>
  );
}

function Row({ pool }: { pool: PoolView }): React.ReactNode {
  const { devices } = pool;
  const free = Math.max(0, devices.schedulable - devices.held);
  return (
    <tr>
      <td>
        <Link to="/nodes" search={{ pool: pool.name }} className="two">
          <strong>{pool.name}</strong>
          <span className="faint">
            {pool.accelerator} · {count(pool.nodes.total)} nodes
            <Spares pool={pool} />
          </span>
        </Link>
      </td>
      <td className="wide">
        <Funnel devices={devices} name={pool.name} />
      </td>
      <td className="end lesser">{count(devices.total)}</td>
      <td className="end lesser">
        <Less value={devices.healthy} than={devices.total} />
      </td>
      <td className="end lesser">
        <Less value={devices.schedulable} than={devices.total} />
      </td>
      <td className="end lesser">{decimal(devices.held)}</td>
      <td className="end">
        <strong>{decimal(free)}</strong>
      </td>
      <td>
        <Gangs pool={pool} />
      </td>
    </tr>
  );
}

const Less = ({ value, than }: { value: number; than: number }): React.ReactNode =>
  value < than ? (
    <span data-tone="warn" className="toned">
      {count(value)}
    </span>
  ) : (
    <span className="muted">{count(value)}</span>
  );

export function Gangs({ pool }: { pool: PoolView }): React.ReactNode {
  const [loosest, ...tighter] = gangSizes(pool);
  if (!loosest || loosest.nodes === 0) return <span className="faint">no whole node is free</span>;
  return (
    <span className="gangs">
      <span className="nowrap">
        <strong>{count(loosest.nodes)}</strong> {loosest.nodes === 1 ? "node" : "nodes"}
        {loosest.devices > 0 ? <span className="faint"> = {count(loosest.devices)} devices</span> : null}
      </span>
      {tighter.slice(0, 4).map((gang) => (
        <span key={gang.segment} className="tag" title={`In segments of ${gang.segment} nodes: ${gang.nodes} nodes, ${gang.devices} devices`}>
          ×{gang.segment} <b>{count(gang.nodes)}</b>
        </span>
      ))}
    </span>
  );
}
