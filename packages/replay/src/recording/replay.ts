import { createHash } from "node:crypto";
import { createEngine, PLACEMENT_VERSION, RECORDING_FORMAT, repeat, type ClusterOptions, type Explanation, type PlacementEngine } from "@muster/placement";
import { readLines, RecordingError, type RecordedLine } from "./read.ts";

export interface ReplayOptions {
  /** Stop after this cycle, counted from 1. Absent: all. */
  cycle?: number;
  /** The job that is to be explained where the replay stops. */
  explain?: string;
}

/** Where the replay went another way than what was recorded. */
export interface Difference {
  line: number;
  /** Cycles done before it. */
  afterCycle: number;
  what: string;
  recorded: unknown;
  replayed: unknown;
}

export interface Replay {
  /** What recorded, and what replays: another version may decide otherwise, rightly. */
  version: { recorded: number; replaying: number };
  epoch: string;
  recordedAt: string;
  calls: number;
  cycles: number;
  /** The first one; the replay stops there. */
  difference: Difference | null;
  /** The decisions of the cycle that was asked for. */
  decisions: unknown;
  explanation: Explanation | null;
  /** Why the recording ends where it does; null: its writer was killed. Undefined while the end was not reached. */
  end?: string | null;
  /** Whether its last line was cut off and left out. */
  cutOff: boolean;
}

/** Tells a new engine all that a recorded one was told, and compares all that it decides, to the letter. Throws RecordingError. */
export async function replayRecording(path: string, { cycle: stopAfter, explain }: ReplayOptions = {}): Promise<Replay> {
  const lines = readLines(path);
  const replay = begin(await lines.next());
  const engine = createEngine(replay.options);
  const { result } = replay;
  let previous: { line: number; name: string; threw: string | null } | undefined;
  /** A call must throw what it threw then, told by the line after it, and nothing else. */
  const differsFromThrown = (recorded: string | null): boolean => {
    if (!previous || previous.threw === recorded) return false;
    result.difference = { line: previous.line, afterCycle: result.cycles, what: `what ${previous.name} threw`, recorded, replayed: previous.threw };
    return true;
  };
  let stopped = false;
  for await (const { number, content } of lines) {
    if (content === null) {
      result.cutOff = true;
      break;
    }
    const [name, ...args] = parseCall(content, number);
    // of a call just before the end it is not known whether it threw
    if (name !== "end" && differsFromThrown(name === "threw" ? String(args[0]) : null)) return result;
    previous = undefined;
    if (name === "end") result.end = String(args[0]);
    else if (name === "cycle") {
      result.difference = compareCycle(engine, args, number, result.cycles);
      if (result.difference) return result;
      result.cycles++;
      if (result.cycles === stopAfter) {
        result.decisions = args[2];
        stopped = true;
        break;
      }
    } else if (name !== "threw" && name !== "loaded") {
      previous = { line: number, name, threw: repeated(engine, name, args, number) };
      result.calls++;
    }
  }
  if (!stopped && result.end === undefined) result.end = null;
  if (stopAfter !== undefined && !stopped) throw new RecordingError(`there is no cycle ${stopAfter}: the recording has ${result.cycles}`);
  if (explain !== undefined) result.explanation = explained(engine, explain, result.cycles);
  return result;
}

function begin(first: IteratorResult<RecordedLine>): { result: Replay; options: ClusterOptions } {
  const header = first.done || typeof first.value.content !== "object" ? null : (first.value.content as Record<string, unknown> | null);
  if (typeof header?.["recording"] !== "number" || typeof header["placement"] !== "number") throw new RecordingError("line 1 is no header of a recording");
  if (header["recording"] !== RECORDING_FORMAT)
    throw new RecordingError(`it is in format ${header["recording"]}; this version reads format ${RECORDING_FORMAT}`);
  return {
    options: header["options"] ?? {},
    result: {
      version: { recorded: header["placement"], replaying: PLACEMENT_VERSION },
      epoch: String(header["epoch"]),
      recordedAt: String(header["at"]),
      calls: 0,
      cycles: 0,
      difference: null,
      decisions: null,
      explanation: null,
      cutOff: false,
    },
  };
}

function parseCall(content: unknown, number: number): [string, ...unknown[]] {
  if (!Array.isArray(content) || typeof content[0] !== "string") throw new RecordingError(`line ${number} is no call`);
  return content as [string, ...unknown[]];
}

function repeated(engine: PlacementEngine, name: string, args: readonly unknown[], number: number): string | null {
  try {
    return repeat(engine, name, args);
  } catch (error) {
    throw new RecordingError(`line ${number}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function compareCycle(engine: PlacementEngine, [now, digest, recorded]: readonly unknown[], line: number, afterCycle: number): Difference | null {
  if (typeof now !== "number" || typeof recorded !== "object" || recorded === null) throw new RecordingError(`line ${line} is no cycle`);
  if (createHash("sha256").update(JSON.stringify(recorded)).digest("base64url") !== digest) {
    return { line, afterCycle, what: "the digest of the recorded decisions: the file was changed", recorded: digest, replayed: null };
  }
  let replayed: Record<string, unknown>;
  try {
    const { now: _, ...decisions } = engine.cycle(now);
    replayed = JSON.parse(JSON.stringify(decisions)) as Record<string, unknown>;
  } catch (error) {
    return { line, afterCycle, what: "the cycle threw", recorded: null, replayed: error instanceof Error ? error.message : String(error) };
  }
  return firstDifference("", recorded, replayed, (what, one, other) => ({ line, afterCycle, what, recorded: one, replayed: other }));
}

/** Walks down to the first part that is not the same. */
function firstDifference(path: string, one: unknown, other: unknown, found: (what: string, one: unknown, other: unknown) => Difference): Difference | null {
  if (JSON.stringify(one) === JSON.stringify(other)) return null;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null || Array.isArray(one) !== Array.isArray(other))
    return found(path, one, other);
  for (const key of new Set([...Object.keys(one), ...Object.keys(other)])) {
    const below = Array.isArray(one) ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`;
    const difference = firstDifference(below, (one as Record<string, unknown>)[key], (other as Record<string, unknown>)[key], found);
    if (difference) return difference;
  }
  // only the order of their keys differs
  return found(path, one, other);
}

function explained(engine: PlacementEngine, job: string, cycles: number): Explanation {
  try {
    return engine.explain(job);
  } catch (error) {
    throw new RecordingError(`after cycle ${cycles}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
