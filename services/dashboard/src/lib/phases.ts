import type { IncidentView } from "@muster/model";
import type { Tone } from "./words.ts";

/** The phases of a recovery in order, each with what it means and its colour. */
export const RECOVERY_PHASES: readonly { phase: string; meaning: string; tone: Tone }[] = [
  { phase: "detect", meaning: "until it was seen", tone: "bad" },
  { phase: "fence", meaning: "until nothing old could do harm", tone: "warn" },
  { phase: "decide", meaning: "until the cause was named", tone: "hold" },
  { phase: "place", meaning: "until it had a place again", tone: "wait" },
  { phase: "start", meaning: "until all workers were up", tone: "begin" },
  { phase: "reload", meaning: "until the first step", tone: "run" },
  { phase: "redo", meaning: "steps made again", tone: "quiet" },
];

export interface PhaseBar {
  phase: string;
  meaning: string;
  tone: Tone;
  seconds: number;
  /** Of the whole, in percent. */
  part: number;
}

export interface Cost {
  deviceHours: number | null;
  attempts: number | null;
  /** Of all phases. */
  seconds: number;
  bars: PhaseBar[];
}

/** What an incident cost, read with suspicion: the field is free-form. */
export function costOf({ cost }: Pick<IncidentView, "cost">): Cost {
  const number = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null);
  const phases = typeof cost["phases"] === "object" && cost["phases"] !== null ? (cost["phases"] as Record<string, unknown>) : {};
  const known = RECOVERY_PHASES.flatMap((one) => {
    const seconds = number(phases[one.phase]);
    return seconds === null ? [] : [{ ...one, seconds }];
  });
  const total = known.reduce((sum, { seconds }) => sum + seconds, 0);
  const deviceSeconds = number(cost["device_seconds"]);
  return {
    deviceHours: deviceSeconds === null ? null : deviceSeconds / 3600,
    attempts: number(cost["attempts"]),
    seconds: total,
    bars: known.map((one) => ({ ...one, part: total > 0 ? (100 * one.seconds) / total : 0 })),
  };
}
