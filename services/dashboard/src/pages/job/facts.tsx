import { Link } from "@tanstack/react-router";
import type { JobView } from "@muster/model";
import { decimal, duration, plural, ratio } from "../../lib/format.ts";
import { Moment } from "../../ui/time.tsx";

export function Facts({ job }: { job: JobView }): React.ReactNode {
  const labels = Object.entries(job.labels);
  return (
    <section className="panel" aria-labelledby="facts">
      <header>
        <h2 id="facts">Job</h2>
      </header>
      <dl className="facts">
        {job.description ? (
          <div>
            <dt>About</dt>
            <dd className="prose">{job.description}</dd>
          </div>
        ) : null}
        <Fact name="Queue">
          <Link to="/jobs" search={{ queue: job.queue }}>
            {job.queue}
          </Link>
        </Fact>
        <Fact name="Priority">
          {job.priority}
          {job.preemptible ? <span className="muted"> · preemptible</span> : null}
        </Fact>
        <Fact name="Submitter">
          <Link to="/jobs" search={{ submitter: job.submitter }}>
            {job.submitter}
          </Link>
        </Fact>
        <Fact name="Size">
          {plural(job.nodes, "node")}, {plural(job.devices, "device")}
        </Fact>
        {job.variant === null ? null : <Fact name="Variant">{job.variant + 1}, kept</Fact>}
        {job.array ? (
          <Fact name="Array">
            <Link to="/jobs" search={{ array: job.array.id }} className="mono">
              {job.array.id}
            </Link>{" "}
            [{job.array.index}]
          </Fact>
        ) : null}
        <Fact name="Submitted">
          <Moment at={job.submitted_at} />
        </Fact>
        <Fact name="First start">
          <Moment at={job.started_at} />
        </Fact>
        {job.accounting ? <Account account={job.accounting} /> : null}
        {job.checkpointing ? (
          <Fact name="Checkpoint every">
            {duration(job.checkpointing.suggested_interval_seconds)}{" "}
            <span className="muted">suggested: each costs {decimal(job.checkpointing.cost_seconds)} s</span>
          </Fact>
        ) : null}
        {job.finished_at ? (
          <Fact name="Finished">
            <Moment at={job.finished_at} />
          </Fact>
        ) : null}
        {job.not_before ? (
          <Fact name="Not before">
            <Moment at={job.not_before} />
          </Fact>
        ) : null}
        {labels.length > 0 ? (
          <div>
            <dt>Labels</dt>
            <dd className="spread wrap" style={{ gap: 4 }}>
              {labels.map(([key, value]) => (
                <Link key={key} to="/jobs" search={{ label: `${key}=${value}` }} className="tag">
                  {key}={value}
                </Link>
              ))}
            </dd>
          </div>
        ) : null}
      </dl>
    </section>
  );
}

/** What its time went into. */
function Account({ account }: { account: NonNullable<JobView["accounting"]> }): React.ReactNode {
  const wasted = Object.entries(account.wasted_device_hours)
    .filter(([, hours]) => hours >= 0.01)
    .sort((a, b) => b[1] - a[1])
    .map(([cause, hours]) => `${decimal(hours)} by ${cause}`);
  return (
    <>
      {account.ettr === null ? null : <Fact name="ETTR">{ratio(account.ettr)}</Fact>}
      {account.goodput === null ? null : (
        <Fact name="Goodput">
          {ratio(account.goodput)} <span className="muted">of {plural(account.steps.done, "step")} kept</span>
        </Fact>
      )}
      {wasted.length > 0 ? <Fact name="Wasted">{wasted.join(", ")} device-hours</Fact> : null}
    </>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }): React.ReactNode {
  return (
    <div>
      <dt>{name}</dt>
      <dd className="clip">{children}</dd>
    </div>
  );
}
