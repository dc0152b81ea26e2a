import { Link } from "@tanstack/react-router";
import type { EventView } from "@muster/model";
import { useState } from "react";
import { eventLook, eventSummary } from "../lib/events.ts";
import { humanize } from "../lib/format.ts";
import { ShapeMark } from "./shape.tsx";
import { Ago } from "./time.tsx";

/** What happened: what, to what, by whom, why. A click shows all of it. */
export function EventList({ events, within }: { events: readonly EventView[]; within?: "job" | "node" }): React.ReactNode {
  const [open, setOpen] = useState<string>();
  if (events.length === 0) return <p className="none faint">No events.</p>;
  return (
    <ol className="events scroll">
      {events.map((event) => {
        const look = eventLook(event);
        const summary = eventSummary(event.data);
        const shown = open === event.id;
        return (
          <li key={event.id} data-tone={look.tone}>
            <ShapeMark shape={look.shape} size={12} />
            <div className="what">
              <button type="button" aria-expanded={shown} onClick={() => setOpen(shown ? undefined : event.id)}>
                {humanize(event.kind)}
              </button>
              {event.attempt !== null && within === "job" ? <span className="tag">#{event.attempt}</span> : null}
              {event.job !== null && within !== "job" ? (
                <Link to="/jobs/$job" params={{ job: event.job }} className={event.job_name ? "about" : "about mono"} title={event.job}>
                  {event.job_name ?? event.job}
                  {event.attempt === null ? "" : ` #${event.attempt}`}
                </Link>
              ) : null}
              {event.node !== null && within !== "node" ? (
                <Link to="/nodes/$node" params={{ node: event.node }} className="mono muted">
                  {event.node}
                </Link>
              ) : null}
              {event.job === null && event.node === null && within === undefined ? (
                <span className="mono muted">{event.queue ?? event.pool ?? event.project}</span>
              ) : null}
              <span className="muted summary" title={summary}>
                {summary}
              </span>
            </div>
            <span className="faint actor clip" title={event.actor}>
              {event.actor}
            </span>
            <span className="faint when">
              <Ago at={event.at} />
            </span>
            {shown ? (
              <pre className="details">{JSON.stringify({ id: event.id, at: event.at, kind: event.kind, actor: event.actor, ...event.data }, null, 2)}</pre>
            ) : null}
          </li>
        );
      })}
    </ol>
  );
}
