import { absolute, age, duration, shortDuration } from "../lib/format.ts";
import { useZone } from "../shell/preferences.ts";
import { useNow } from "./clock.ts";

/** "5m ago", with the moment in full on hover. */
export function Ago({ at, empty = "–" }: { at: string | null | undefined; empty?: string }): React.ReactNode {
  const now = useNow();
  const zone = useZone();
  if (!at) return <span className="faint">{empty}</span>;
  const moment = Date.parse(at);
  return (
    <time dateTime={at} title={absolute(moment, zone)}>
      {age(moment, now)}
    </time>
  );
}

/** How long something has gone on: "3h 12m", or in one unit. */
export function Since({ at, short = false }: { at: string | null | undefined; short?: boolean }): React.ReactNode {
  const now = useNow();
  const zone = useZone();
  if (!at) return <span className="faint">–</span>;
  const moment = Date.parse(at);
  const seconds = Math.max(0, (now - moment) / 1000);
  return (
    <time dateTime={at} title={`since ${absolute(moment, zone)}`}>
      {short ? shortDuration(seconds) : duration(Math.floor(seconds))}
    </time>
  );
}

export function Moment({ at }: { at: string | null | undefined }): React.ReactNode {
  const now = useNow();
  const zone = useZone();
  if (!at) return <span className="faint">–</span>;
  return (
    <time dateTime={at} title={age(Date.parse(at), now)} className="nowrap">
      {absolute(Date.parse(at), zone)}
    </time>
  );
}
