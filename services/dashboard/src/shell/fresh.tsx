import { useLiveState } from "../api/live.ts";
import { freshnessOf } from "../lib/freshness.ts";
import { shortDuration } from "../lib/format.ts";
import { useNow } from "../ui/clock.ts";

/** How old what you see may be. */
export function Fresh(): React.ReactNode {
  useNow();
  const { status, heard } = useLiveState();
  const silence = Math.max(0, Math.floor((Date.now() - heard) / 1000));
  const freshness = freshnessOf(status, heard, Date.now());
  const tone = freshness === "live" ? (status === "live" ? "run" : "begin") : freshness === "stale" ? "warn" : freshness === "old" ? "bad" : "quiet";
  const text = freshness === "paused" ? "paused" : silence < 2 ? "as of now" : `as of ${shortDuration(silence)} ago`;
  const title = {
    live: status === "live" ? "Live: changes are shown as they happen." : "The stream is being opened again; answers are asked for every few seconds.",
    stale: "Nothing has been heard from the server for a while. What you see may be old.",
    old: "The server does not answer. What you see is old; jobs that run are not affected by this.",
    paused: "Paused while this tab is hidden.",
  }[freshness];
  return (
    <span className="fresh" data-tone={tone} title={title} role="status" aria-live="off">
      <i />
      {text}
    </span>
  );
}
