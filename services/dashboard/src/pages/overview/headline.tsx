import { Link } from "@tanstack/react-router";
import type { OverviewView } from "@muster/model";
import { count, plural } from "../../lib/format.ts";
import { stateCounts, verdictOf } from "../../lib/overview.ts";
import type { Shape, Tone } from "../../lib/words.ts";
import { ShapeMark } from "../../ui/shape.tsx";
import { Since } from "../../ui/time.tsx";

function Figure({
  value,
  label,
  state,
  tone,
  shape,
  children,
}: {
  value: number;
  label: string;
  state: string;
  tone: Tone;
  shape: Shape;
  children?: React.ReactNode;
}): React.ReactNode {
  return (
    <Link to="/jobs" search={{ state }} className="figure" data-tone={tone} data-none={value === 0}>
      <span className="value">{count(value)}</span>
      <span className="name">
        <ShapeMark shape={shape} size={11} />
        {label}
      </span>
      <span className="detail">{children}</span>
    </Link>
  );
}

export function Headline({ overview }: { overview: OverviewView }): React.ReactNode {
  const verdict = verdictOf(overview);
  const counts = stateCounts(overview.jobs);
  const failures = Object.values(overview.failures_24h).reduce((sum, value) => sum + value, 0);
  const devices = overview.pools.reduce((sum, pool) => sum + pool.devices.held, 0);
  return (
    <section className="headline" aria-label="At a glance">
      <div className="verdict" data-tone={verdict.tone}>
        <span className="state large" data-tone={verdict.tone}>
          <ShapeMark shape={verdict.tone === "run" ? "check" : verdict.tone === "warn" ? "triangle" : "cross"} size={17} />
          {verdict.text}
        </span>
        <span className="muted points">{verdict.points.length > 0 ? verdict.points.join(" · ") : "Nothing is broken; every job that waits has a reason."}</span>
      </div>
      <div className="figures">
        <Figure value={counts.running} label="Running" state="running" tone="run" shape="play">
          {devices > 0 ? plural(Math.round(devices), "device") : null}
        </Figure>
        <Figure value={counts.coming} label="Starting" state="scheduled,starting" tone="begin" shape="half" />
        <Figure value={counts.recovering} label="Recovering" state="recovering" tone="warn" shape="loop" />
        <Figure value={counts.waiting} label="Waiting" state="queued" tone="wait" shape="ring">
          {overview.waiting.oldest_since ? (
            <>
              oldest <Since at={overview.waiting.oldest_since} short />
            </>
          ) : null}
        </Figure>
        <Figure value={counts.held} label="Held" state="held,suspended" tone="hold" shape="pause" />
        <Figure value={failures} label="Failed, 24 h" state="failed" tone="bad" shape="cross">
          {Object.entries(overview.failures_24h)
            .filter(([, value]) => value > 0)
            .sort((a, b) => b[1] - a[1])
            .slice(0, 2)
            .map(([cause, value]) => `${value} ${cause}`)
            .join(", ")}
        </Figure>
      </div>
    </section>
  );
}
