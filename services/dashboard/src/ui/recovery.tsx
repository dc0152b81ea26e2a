import { decimal, duration } from "../lib/format.ts";
import type { Cost } from "../lib/phases.ts";

/** How a job came back, as one line of time: the parts are to scale, and told in words below. */
export function Recovery({ cost }: { cost: Cost }): React.ReactNode {
  if (cost.bars.length === 0) return null;
  const told = cost.bars.map(({ phase, seconds }) => `${phase} ${duration(seconds)}`).join(", ");
  return (
    <figure className="recovery" aria-label={`recovery: ${told}`}>
      <div className="bar" aria-hidden="true">
        {cost.bars
          .filter(({ part }) => part > 0)
          .map(({ phase, part, tone }) => (
            <i key={phase} data-tone={tone} style={{ flexGrow: part }} title={phase} />
          ))}
      </div>
      <figcaption>
        {cost.bars.map(({ phase, meaning, tone, seconds }) => (
          <span key={phase} title={meaning}>
            <i data-tone={tone} />
            {phase} <b>{duration(seconds)}</b>
          </span>
        ))}
        <span>
          in all <b>{duration(cost.seconds)}</b>
          {cost.deviceHours !== null && cost.deviceHours > 0 ? <>, {decimal(cost.deviceHours)} device-hours</> : null}
        </span>
      </figcaption>
    </figure>
  );
}
