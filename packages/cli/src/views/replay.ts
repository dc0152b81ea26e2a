import type { Replay } from "@muster/replay/recording";
import { clean, plural } from "../text.ts";
import { renderFields } from "../table.ts";

/** @param toText shows what was decided, or why a job waits */
export function renderReplay(replay: Replay, toText: (value: unknown) => string): string {
  const { version, difference } = replay;
  const parts = [
    renderFields([
      ["recorded", `${clean(replay.recordedAt)}, leadership ${clean(replay.epoch)}`],
      ["replayed", `${plural(replay.calls, "call")}, ${plural(replay.cycles, "cycle")}`],
      ["result", difference ? "different" : "identical"],
      ...ending(replay),
    ]),
  ];
  if (version.recorded !== version.replaying)
    parts.push(`Recorded by placement version ${version.recorded}, replayed by ${version.replaying}: these may rightly decide otherwise.\n`);
  if (difference) {
    parts.push(
      `Line ${difference.line}, after ${plural(difference.afterCycle, "cycle")}: ${clean(difference.what)}\n  recorded: ${short(difference.recorded)}\n  replayed: ${short(difference.replayed)}\n`,
    );
  }
  if (replay.decisions !== null) parts.push(`\nDecisions of cycle ${replay.cycles}:\n${toText(replay.decisions)}`);
  if (replay.explanation) parts.push(`\n${clean(replay.explanation.job)} after ${plural(replay.cycles, "cycle")}:\n${toText(replay.explanation)}`);
  return parts.join("");
}

function ending({ end, cutOff }: Replay): [string, string][] {
  if (end === undefined) return [];
  if (end !== null) return [["ends", clean(end)]];
  return [["ends", cutOff ? "with a line that was cut off, and left out" : "without having been closed"]];
}

function short(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return clean(text.length > 300 ? `${text.slice(0, 300)}…` : text);
}
