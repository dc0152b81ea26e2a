import { Link } from "@tanstack/react-router";
import type { IncidentView, OverviewView } from "@muster/model";
import { humanize } from "../../lib/format.ts";
import { NODE_LOOK, SEVERITY_LOOK } from "../../lib/words.ts";
import { Notice } from "../../ui/notice.tsx";
import { ShapeMark } from "../../ui/shape.tsx";
import { Since } from "../../ui/time.tsx";

const WEIGHT: Readonly<Record<IncidentView["severity"], number>> = { critical: 0, warning: 1, info: 2 };

/** Open incidents, then nodes out of service: each with what, why and since when. */
export function Broken({ overview }: { overview: OverviewView }): React.ReactNode {
  const incidents = [...overview.open_incidents].sort((a, b) => WEIGHT[a.severity] - WEIGHT[b.severity]);
  const nodes = overview.broken_nodes;
  return (
    <section className="panel" aria-labelledby="broken" style={{ flex: "1 1 160px" }}>
      <header>
        <h2 id="broken">What is broken</h2>
        <Link to="/incidents" className="more">
          Incidents
        </Link>
      </header>
      {incidents.length + nodes.length === 0 ? (
        <Notice shape="check" tone="run" title="Nothing is broken">
          <p>No open incident, every node in service.</p>
        </Notice>
      ) : (
        <ul className="scroll faults">
          {incidents.map((incident) => (
            <li key={incident.id} data-tone={SEVERITY_LOOK[incident.severity].tone}>
              <ShapeMark shape={SEVERITY_LOOK[incident.severity].shape} />
              <div className="clip">
                <IncidentLink incident={incident} />
                <span className="muted clip">{incident.evidence[0] ?? incident.action ?? ""}</span>
              </div>
              <Since at={incident.opened_at} short />
            </li>
          ))}
          {nodes.map((node) => (
            <li key={node.name} data-tone={NODE_LOOK[node.health].tone}>
              <ShapeMark shape={NODE_LOOK[node.health].shape} />
              <div className="clip">
                <Link to="/nodes/$node" params={{ node: node.name }}>
                  <strong className="mono">{node.name}</strong> <span className="toned">{NODE_LOOK[node.health].label.toLowerCase()}</span>
                </Link>
                <span className="muted clip">{node.reason ?? "no reason given"}</span>
              </div>
              <Since at={node.since} short />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function IncidentLink({ incident }: { incident: IncidentView }): React.ReactNode {
  const text = (
    <>
      <strong>{humanize(incident.kind)}</strong>
      {incident.job_name ? <span className="muted"> {incident.job_name}</span> : null}
      {incident.node ? <span className="mono muted"> {incident.node}</span> : null}
      <span className="hidden-text">, {incident.severity}</span>
    </>
  );
  if (incident.job)
    return (
      <Link to="/jobs/$job" params={{ job: incident.job }}>
        {text}
      </Link>
    );
  if (incident.node)
    return (
      <Link to="/nodes/$node" params={{ node: incident.node }}>
        {text}
      </Link>
    );
  return <Link to="/incidents">{text}</Link>;
}
