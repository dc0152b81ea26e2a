import type { OverviewView } from "@muster/model";
import { milliseconds, ratio } from "../../lib/format.ts";
import type { Tone } from "../../lib/words.ts";
import { ShapeMark } from "../../ui/shape.tsx";
import { Since } from "../../ui/time.tsx";

/** Whether Muster itself is well. */
export function ControlPlane({ overview }: { overview: OverviewView }): React.ReactNode {
  const { scheduler, shards, incarnation, starts_paused: paused, brake } = overview.control_plane;
  const { ettr_7d: ettr } = overview;
  const away = shards.filter((shard) => !shard.reachable);
  return (
    <section className="panel" aria-labelledby="control" style={{ flex: "none" }}>
      <header>
        <h2 id="control">Control plane</h2>
        <span className="more faint" title="It rises when a restored backup is taken into use">
          incarnation <span className="mono">{incarnation}</span>
        </span>
      </header>
      <dl className="health">
        <Item tone={scheduler.leader === null ? "bad" : "run"} name="Scheduler">
          {scheduler.leader === null ? (
            "no leader"
          ) : (
            <span className="clip" title={scheduler.leader}>
              leads
            </span>
          )}
          {scheduler.cycle_ms === null ? null : <span className="muted"> · cycle {milliseconds(scheduler.cycle_ms)}</span>}
          {scheduler.lag_ms === null ? null : (
            <span className={scheduler.lag_ms > 5000 ? "toned" : "muted"} data-tone="warn">
              {" "}
              · lag {milliseconds(scheduler.lag_ms)}
            </span>
          )}
        </Item>
        <Item tone={away.length > 0 ? "bad" : "run"} name="Engines">
          {shards.length - away.length}/{shards.length} answer
          {away[0] ? (
            <span className="toned" data-tone="bad">
              {" "}
              · {away[0].name} silent <Since at={away[0].last_seen} short />
            </span>
          ) : null}
        </Item>
        <Item tone={paused === null ? "run" : "bad"} name="Starts">
          {paused ?? "going on"}
        </Item>
        <Item tone={brake ? "bad" : "run"} name="Brake">
          {brake ? (
            <>
              on for <Since at={brake.since} short />: no node is declared lost
            </>
          ) : (
            "off"
          )}
        </Item>
        {ettr === null || ettr === undefined ? null : (
          <Item tone={ettr < 0.9 ? "warn" : "run"} name="ETTR, 7 days">
            <span title="productive time over wall time, by devices, of jobs that ran within 7 days">{ratio(ettr)}</span>
          </Item>
        )}
      </dl>
    </section>
  );
}

function Item({ tone, name, children }: { tone: Tone; name: string; children: React.ReactNode }): React.ReactNode {
  return (
    <div data-tone={tone}>
      <dt>
        <span className="toned">
          <ShapeMark shape={tone === "run" ? "check" : "cross"} size={12} />
        </span>
        {name}
      </dt>
      <dd className="clip">{children}</dd>
    </div>
  );
}
