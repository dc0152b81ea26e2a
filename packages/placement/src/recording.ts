import type { CycleResult } from "./decisions.ts";
import type { Explanation, PoolFree, WaitReason } from "./explanation.ts";
import type { JobInput } from "./job-input.ts";
import type { PlacementEngine } from "./placement-engine.ts";
import type { Plan } from "./plan.ts";
import type { ClusterChange } from "./what-if.ts";

/*
 * What an engine was told, call by call, so that another can be told the same. A recording is lines of JSON: a header,
 * then one array per call, `[name, ...arguments]`; a call that threw is followed by `["threw", message]`.
 */

/** Raised with every change by which the same calls may lead to other decisions. */
export const PLACEMENT_VERSION = 19;
/** Raised with every change of the lines themselves. */
export const RECORDING_FORMAT = 1;

/** Calls that may change what later cycles decide. */
export const RECORDED_CALLS = [
  "setPolicy",
  "putPool",
  "putNode",
  "removeNode",
  "putWindow",
  "removeWindow",
  "putQueue",
  "removeQueue",
  "submit",
  "updateJob",
  "removeJob",
  "started",
  "checkpointed",
  "learn",
  "finished",
  "released",
  "membersReleased",
  "lost",
  "undo",
  "plan",
] as const satisfies readonly (keyof PlacementEngine)[];
export type RecordedCall = (typeof RECORDED_CALLS)[number];

/** Takes what an engine is told, in order. Neither method may throw. */
export interface RecordingSink {
  /** `settle`: something was asked, which brings sums up to date and changes nothing else. */
  call(name: RecordedCall | "settle" | "estimates" | "threw", args: readonly unknown[]): void;
  /** The result may be looked at until the next call only. */
  cycle(now: number, result: CycleResult): void;
}

/** The same engine, whose calls are told to a sink before they are made. */
export function recorded(engine: PlacementEngine, sink: RecordingSink): PlacementEngine {
  // what is asked again and again between two changes settles nothing more
  let settled = false;
  const tell = (name: RecordedCall, args: readonly unknown[]): unknown => {
    settled = false;
    sink.call(name, args);
    try {
      return (engine[name] as (...all: unknown[]) => unknown).apply(engine, [...args]);
    } catch (error) {
      sink.call("threw", [messageOf(error)]);
      throw error;
    }
  };
  const ask = (): void => {
    if (!settled) sink.call("settle", []);
    settled = true;
  };
  const calls = Object.fromEntries(RECORDED_CALLS.map((name) => [name, (...args: readonly unknown[]) => tell(name, args)]));
  return {
    ...(calls as unknown as Pick<PlacementEngine, RecordedCall>),
    plan: (job: JobInput, now: number, change?: ClusterChange): Plan => tell("plan", change === undefined ? [job, now] : [job, now, change]) as Plan,
    cycle(now: number): CycleResult {
      settled = false;
      const result = engine.cycle(now);
      sink.cycle(now, result);
      return result;
    },
    estimates(now: number, budgetMs: number, clock: () => number): boolean {
      settled = false;
      // how far it gets depends on the clock, and matters to estimates alone
      sink.call("estimates", [now]);
      return engine.estimates(now, budgetMs, clock);
    },
    explain(id: string): Explanation {
      ask();
      return engine.explain(id);
    },
    waitReason(id: string): WaitReason {
      ask();
      return engine.waitReason(id);
    },
    capacity(): readonly PoolFree[] {
      ask();
      return engine.capacity();
    },
  };
}

/** Tells an engine one recorded call. Returns the message of what it threw, if it did. Throws where there is no such call. */
export function repeat(engine: PlacementEngine, name: string, args: readonly unknown[]): string | null {
  if (name !== "settle" && name !== "estimates" && !(RECORDED_CALLS as readonly string[]).includes(name)) throw new Error(`no call is named "${name}"`);
  try {
    if (name === "settle") engine.capacity();
    else if (name === "estimates") engine.estimates(args[0] as number, 0, () => 0);
    else (engine[name as RecordedCall] as (...all: unknown[]) => unknown).apply(engine, [...args]);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
