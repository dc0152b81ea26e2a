import type { AttemptView, EventView } from "@muster/model";

/** Seconds from a fault to the first new step, by phase. */
export interface RecoveryTimes {
  /** Fault → Muster has seen it. */
  detect: number;
  /** Seen → the gang is down, the cause is judged, the next attempt is opened. */
  decide: number;
  /** Opened → every worker of the next attempt is up. */
  start: number;
  /** Up → first step: the framework loads, the checkpoint is read. */
  reload: number;
  total: number;
}

/** @param fault milliseconds since 1970; undefined where a phase has no event */
export function recoveryTimes(events: readonly EventView[], attempt: number, fault: number): RecoveryTimes | undefined {
  const at = (kind: string, number: number): number | undefined => {
    const event = events.find((one) => one.kind === kind && one.attempt === number);
    return event && Date.parse(event.at);
  };
  const [seen, judged, up, step] = [
    at("worker.failed", attempt),
    at("job.scheduled", attempt + 1),
    at("job.running", attempt + 1),
    at("attempt.progressing", attempt + 1),
  ];
  if (seen === undefined || judged === undefined || up === undefined || step === undefined) return undefined;
  const seconds = (from: number, to: number): number => Math.max(0, to - from) / 1000;
  return { detect: seconds(fault, seen), decide: seconds(seen, judged), start: seconds(judged, up), reload: seconds(up, step), total: seconds(fault, step) };
}

/** Steps done in an attempt that the next one had to do again. */
export function stepsLost(attempts: readonly AttemptView[]): number {
  const ordered = [...attempts].sort((a, b) => a.number - b.number);
  return ordered.reduce((lost, attempt, index) => {
    const next = ordered[index + 1];
    return next && attempt.last_step !== null ? lost + Math.max(0, attempt.last_step - (next.resumed_from_step ?? 0)) : lost;
  }, 0);
}
