import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ExplainView, JobView } from "@muster/model";
import { explainQuery } from "../../api/queries.ts";
import { bytes, count, decimal, humanize, plural, sentence } from "../../lib/format.ts";
import { NEVER_START, WAIT_WORDS } from "../../lib/words.ts";
import { Failure, Skeleton } from "../../ui/notice.tsx";
import { Ago, Moment, Since } from "../../ui/time.tsx";

/** Why a job waits: one reason, the numbers it was judged on, who is ahead, what would help, when it may start. */
export function Explain({ job }: { job: JobView }): React.ReactNode {
  const { data, error, refetch } = useQuery(explainQuery(job.id));
  return (
    <section className="panel explain" aria-labelledby="explain">
      <header>
        <h2 id="explain">Why it waits</h2>
        {data ? (
          <span className="more">
            judged <Ago at={data.evaluated_at} />
          </span>
        ) : null}
      </header>
      {data ? <Explanation data={data} /> : error ? <Failure error={error} retry={() => void refetch()} /> : <Skeleton lines={4} />}
    </section>
  );
}

function Explanation({ data }: { data: ExplainView }): React.ReactNode {
  return (
    <div className="body">
      <div className="because">
        <strong>{data.reason ? WAIT_WORDS[data.reason].label : "No reason recorded"}</strong>
        <p>{sentence(data.message)}</p>
        {data.since ? (
          <span className="faint">
            for <Since at={data.since} />
          </span>
        ) : null}
      </div>
      {data.next_step ? (
        <p className="next">
          <span className="muted">Next</span> {data.next_step}
        </p>
      ) : null}
      <div className="numbers">
        <Need data={data} />
        <Free data={data} />
        <div>
          <h3>Ahead of it</h3>
          {data.ahead.count === 0 ? (
            <p className="muted">No job is ahead.</p>
          ) : (
            <>
              <p>
                <strong>{plural(data.ahead.count, "job")}</strong> <span className="muted">asking for {plural(data.ahead.devices, "device")}</span>
              </p>
              <ul>
                {data.ahead.top.slice(0, 4).map((id) => (
                  <li key={id}>
                    <Link to="/jobs/$job" params={{ job: id }} className="mono">
                      {id}
                    </Link>
                  </li>
                ))}
              </ul>
            </>
          )}
          <h3>May start</h3>
          {data.eta ? (
            <p>
              <Ago at={data.eta.p50} /> <span className="muted">(half of the time), </span>
              <Ago at={data.eta.p90} /> <span className="muted">(nine of ten)</span>
              <span className="faint block">{data.eta.basis}</span>
              <span className="hidden-text">
                <Moment at={data.eta.p50} />
              </span>
            </p>
          ) : (
            <p className="muted">{data.reason && NEVER_START.includes(data.reason) ? "Not as the cluster is." : "Not known."}</p>
          )}
        </div>
      </div>
      {data.filtered.length > 0 ? (
        <div>
          <h3>Nodes that cannot take it</h3>
          <ul className="filtered">
            {data.filtered.map((item) => (
              <li key={item.why}>
                <b>{count(item.count)}</b>
                <span>{humanize(item.why)}</span>
                <span className="faint clip">
                  {item.sample_nodes.slice(0, 4).map((node, index) => (
                    <span key={node}>
                      {index > 0 ? ", " : ""}
                      <Link to="/nodes/$node" params={{ node }} className="mono">
                        {node}
                      </Link>
                    </span>
                  ))}
                  {item.count > 4 ? " …" : ""}
                </span>
              </li>
            ))}
          </ul>
        </div>
      ) : null}
      {data.blocks.length > 0 ? (
        <div>
          <h3>Room in one {data.blocks[0]!.level}</h3>
          <ul className="filtered">
            {data.blocks.slice(0, 4).map((item) => (
              <li key={item.block}>
                <b>
                  {count(item.fits)} of {count(item.needed)}
                </b>
                <span className="mono">{item.block}</span>
              </li>
            ))}
          </ul>
        </div>
      ) : null}
      {data.would_fit_if.length > 0 ? (
        <div>
          <h3>It would fit if</h3>
          <ul className="fits">
            {data.would_fit_if.map((item) => (
              <li key={item}>{item}</li>
            ))}
          </ul>
        </div>
      ) : null}
    </div>
  );
}

function Need({ data }: { data: ExplainView }): React.ReactNode {
  return (
    <div>
      <h3>It needs</h3>
      {data.need.length === 0 ? <p className="muted">Not computed.</p> : null}
      <ul>
        {data.need.map((need) => (
          <li key={`${need.variant}/${need.role}`}>
            <strong>{plural(need.nodes, "node")}</strong> <span className="muted">{devicesOf(need)}</span>
            <span className="faint block">
              {decimal(need.cpus)} cpus, {bytes(need.memory)} each{data.need.length > 1 ? ` · variant ${need.variant + 1}, ${need.role}` : ""}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function devicesOf(need: ExplainView["need"][number]): string {
  const model = need.accelerator ?? need.pool ?? "device";
  if (need.share > 0 && need.share < 1000) return `× ${decimal(need.share / 1000)} of one ${model}`;
  return need.accelerators_per_node > 0 ? `× ${need.accelerators_per_node} ${model}` : `without devices${need.pool ? ` in ${need.pool}` : ""}`;
}

function Free({ data }: { data: ExplainView }): React.ReactNode {
  return (
    <div>
      <h3>Free now</h3>
      {data.free.length === 0 ? <p className="muted">Nothing that matches.</p> : null}
      <ul>
        {data.free.map((free) => {
          const largest = Math.max(0, ...free.largest_gang.map((gang) => gang.nodes));
          return (
            <li key={free.pool}>
              <strong>{decimal(free.devices)}</strong> <span className="muted">{free.accelerator} in</span>{" "}
              <Link to="/nodes" search={{ pool: free.pool }}>
                {free.pool}
              </Link>
              <span className="faint block">
                {plural(free.whole_nodes, "whole node")}
                {free.largest_gang.length > 0 ? `, room for ${plural(largest, "such node")}` : ""}
              </span>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
