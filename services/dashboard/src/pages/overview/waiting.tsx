import { Link } from "@tanstack/react-router";
import type { OverviewView, WaitReason } from "@muster/model";
import { count, humanize, plural } from "../../lib/format.ts";
import { NEVER_START, WAIT_WORDS } from "../../lib/words.ts";
import { Meter } from "../../ui/meter.tsx";
import { Notice } from "../../ui/notice.tsx";

/** What waits, by the one reason that each job has. */
export function Waiting({ waiting }: { waiting: OverviewView["waiting"] }): React.ReactNode {
  const reasons = Object.entries(waiting.by_reason)
    .filter(([, jobs]) => jobs > 0)
    .sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, ...reasons.map(([, jobs]) => jobs));
  return (
    <section className="panel" aria-labelledby="waiting" style={{ flex: "0 1 auto" }}>
      <header>
        <h2 id="waiting">What waits, and why</h2>
        <Link to="/jobs" search={{ state: "queued", group: "reason" }} className="more">
          {plural(waiting.jobs, "job")} · {plural(waiting.devices, "device")}
        </Link>
      </header>
      {reasons.length === 0 ? (
        <Notice shape="check" tone="run" title="Nothing waits" />
      ) : (
        <ul className="scroll reasons">
          {reasons.map(([reason, jobs]) => {
            const words = WAIT_WORDS[reason as WaitReason] as (typeof WAIT_WORDS)[WaitReason] | undefined;
            return (
              <li key={reason}>
                <Link to="/jobs" search={{ reason: reason as WaitReason }} title={words?.meaning}>
                  <span className="clip">{words?.label ?? humanize(reason)}</span>
                  <Meter value={jobs} of={most} tone={NEVER_START.includes(reason as WaitReason) ? "warn" : "wait"} label={words?.label ?? reason} />
                  <span className="num">{count(jobs)}</span>
                </Link>
              </li>
            );
          })}
        </ul>
      )}
    </section>
  );
}
