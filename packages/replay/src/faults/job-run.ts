import { STORAGE_AWAY } from "./causes.ts";
import type { Words } from "./causes.ts";
import type { Whole } from "./floor.ts";
import { after } from "./trace.ts";
import type { Fault, Window } from "./trace.ts";

/*
 * One job over the whole of a trace, from fault to fault, in seconds. What a policy does is its own; what the job can do
 * is the same for all: start, load, work, commit, and make again what wasn't committed.
 */

export interface Setting {
  nodes: number;
  /** How long the trace is. */
  seconds: number;
  /** From the start of the processes to the first line of training code, and loading what it resumes from. */
  start: number;
  load: number;
  /** Working time between two commits; they don't block. */
  commitEvery: number;
  faults: readonly Fault[];
  storageAway: readonly Window[];
  controlAway: readonly Window[];
  /** Absent: a healthy replacement is always at hand. */
  repair?: { spares: number; seconds: (fault: Fault) => number };
}

export type Seen = { kind: "exit"; words: Words; slot: number } | { kind: "silent" } | { kind: "hang" };

export interface Failure {
  at: number;
  seen: Seen;
  /** What began it; null: storage that was away. */
  fault: Fault | null;
  /** Places whose node is out of service, with what broke it. */
  broken: ReadonlyMap<number, Fault>;
  /** When the attempt's processes were started, and when it began to work; it may have failed before. */
  startedAt: number;
  workedFrom: number;
  /** Whether the attempt brought a commit. */
  progressed: boolean;
}

export interface Resumption {
  /** When the processes of the next attempt are started. */
  at: number;
  /** Places that get another node. */
  replaced: readonly number[];
}

export interface Policy {
  name: string;
  begin: (setting: Setting) => Recoverer;
}

export interface Recoverer {
  recover: (failure: Failure) => Resumption;
  /** Whether it is known by then that a node is out, so that nothing is placed there. */
  knownOut: (fault: Fault, at: number) => boolean;
  /** When the gang has all its nodes, from then on; absent: as soon as there are enough. */
  whole?: (at: number, broken: ReadonlyMap<number, Fault>) => Whole;
  /** The attempt's gang was started: all invariants of it can be checked. */
  started: (at: number) => void;
  figures: () => { givenUp: number; invariantsBroken: number; detail: string[] };
}

export interface Outcome {
  /** Productive time over wall time. */
  ettr: number;
  failures: number;
  failedStarts: number;
  /** Seconds from a fault to work again, without what is made again. */
  downtime: { p50: number; p99: number; mean: number };
  redone: number;
  givenUp: number;
  invariantsBroken: number;
  detail: string[];
}

export function runJob(setting: Setting, policy: Policy): Outcome {
  const recoverer = policy.begin(setting);
  const broken = new Map<number, Fault>();
  const replaced = new Set<number>();
  const returns: number[] = [];
  const downtimes: number[] = [];
  let productive = 0;
  let redone = 0;
  let failures = 0;
  let failedStarts = 0;
  let next = 0;
  let begin = 0;
  let downSince = 0;
  const replace = (slot: number, at: number): void => {
    const fault = broken.get(slot);
    broken.delete(slot);
    replaced.add(slot);
    if (setting.repair && fault) returns.push(at + setting.repair.seconds(fault));
  };
  while (begin < setting.seconds) {
    for (; (setting.faults[next]?.at ?? Infinity) < begin; next++) breakNode(broken, replaced, setting.faults[next] as Fault);
    for (const [slot, fault] of broken) if (recoverer.knownOut(fault, begin)) replace(slot, begin);
    const { at: ready, moved } = recoverer.whole?.(begin, broken) ?? {
      at: setting.repair ? whenSpare(returns, setting.repair.spares, begin) : begin,
      moved: [],
    };
    for (const [slot, fault] of moved) {
      replaced.add(slot);
      broken.delete(slot);
      if (fault) broken.set(slot, { ...fault, slot });
    }
    if (ready > begin) {
      begin = ready;
      continue;
    }
    recoverer.started(begin);
    const workedFrom = begin + setting.start + setting.load;
    let end = startFailure(setting, broken, begin, workedFrom);
    for (; next < setting.faults.length; next++) {
      const fault = setting.faults[next] as Fault;
      if (fault.at >= (end?.at ?? setting.seconds)) break;
      if (!hits(fault, replaced)) continue;
      breakNode(broken, replaced, fault);
      end = { at: fault.at, fault, seen: seenOf(fault) };
      // what strikes in the same instant is one fault of many nodes
      for (next++; setting.faults[next]?.at === fault.at; next++) breakNode(broken, replaced, setting.faults[next] as Fault);
      break;
    }
    const stop = Math.min(end?.at ?? setting.seconds, setting.seconds);
    if (stop > workedFrom && workedFrom < setting.seconds) {
      if (downSince > 0) downtimes.push(workedFrom - downSince);
      downSince = 0;
    }
    if (!end || end.at >= setting.seconds) {
      productive += Math.max(0, stop - workedFrom);
      break;
    }
    const worked = Math.max(0, stop - workedFrom);
    const kept = lastCommit(setting, workedFrom, worked);
    productive += kept;
    redone += worked - kept;
    failures++;
    if (worked === 0) failedStarts++;
    if (downSince === 0) downSince = end.at;
    const resumption = recoverer.recover({ ...end, broken, startedAt: begin, workedFrom, progressed: kept > 0 });
    for (const slot of resumption.replaced) replace(slot, end.at);
    if (!(resumption.at >= end.at)) throw new Error(`${policy.name} went back in time, from ${end.at} to ${resumption.at}`);
    begin = resumption.at;
  }
  const sorted = downtimes.sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
  const mean = sorted.reduce((sum, value) => sum + value, 0) / Math.max(1, sorted.length);
  const figures = recoverer.figures();
  if (downSince > 0 && !setting.repair && setting.seconds - lastTrouble(setting) > LIVENESS) {
    figures.invariantsBroken++;
    figures.detail.unshift("BROKEN: when faults stop, the job makes progress");
  }
  return { ettr: productive / setting.seconds, failures, failedStarts, downtime: { p50: at(0.5), p99: at(0.99), mean }, redone, ...figures };
}

/** Seconds after the last fault within which a job must work again, a person's help included. */
const LIVENESS = 7200;

function lastTrouble(setting: Setting): number {
  return Math.max(0, ...setting.storageAway.map((window) => window.until), setting.faults.at(-1)?.at ?? 0);
}

/** A replaced node took its own troubles along. */
function hits(fault: Fault, replaced: ReadonlySet<number>): boolean {
  return !(fault.resident && replaced.has(fault.slot));
}

function breakNode(broken: Map<number, Fault>, replaced: ReadonlySet<number>, fault: Fault): void {
  if (fault.cause.out && hits(fault, replaced) && !broken.has(fault.slot)) broken.set(fault.slot, fault);
}

export function wordsOf(fault: Fault): Words {
  const words = fault.cause.words[Math.floor(fault.draws[0] * fault.cause.words.length)];
  if (!words) throw new Error(`${fault.cause.name} says nothing`);
  return words;
}

function seenOf(fault: Fault): Seen {
  if (fault.hangs) return { kind: "hang" };
  return fault.cause.words.length === 0 ? { kind: "silent" } : { kind: "exit", words: wordsOf(fault), slot: fault.slot };
}

/** What ends an attempt before it works: a node that is out, or storage that is away while it loads. */
function startFailure(
  setting: Setting,
  broken: ReadonlyMap<number, Fault>,
  begin: number,
  workedFrom: number,
): Pick<Failure, "at" | "seen" | "fault"> | undefined {
  for (const [slot, fault] of broken) {
    // a silent node never starts its part: it is found by its silence alone
    if (fault.cause.words.length === 0 && !fault.hangs) return { at: begin, fault, seen: { kind: "silent" } };
    return { at: begin + setting.start, fault, seen: { kind: "exit", words: fault.cause.atStart, slot } };
  }
  if (after(setting.storageAway, workedFrom) > workedFrom) return { at: workedFrom, fault: null, seen: { kind: "exit", words: STORAGE_AWAY, slot: 0 } };
  return undefined;
}

/** Working time up to the last commit that storage could take. */
function lastCommit(setting: Setting, workedFrom: number, worked: number): number {
  let kept = Math.floor(worked / setting.commitEvery) * setting.commitEvery;
  while (kept > 0 && after(setting.storageAway, workedFrom + kept) > workedFrom + kept) kept -= setting.commitEvery;
  return kept;
}

/** When no more nodes are in repair than there are spares. */
function whenSpare(returns: readonly number[], spares: number, at: number): number {
  const out = returns.filter((back) => back > at).sort((a, b) => a - b);
  return out.length <= spares ? at : (out[out.length - spares - 1] ?? at);
}

/** The share of time in which more nodes are in repair than there are spares, whatever recovers the job. */
export function shareWithoutNodes(setting: Setting): number {
  const { repair } = setting;
  if (!repair) return 0;
  const changes = setting.faults.flatMap((fault) =>
    fault.cause.out
      ? [
          { at: fault.at, by: 1 },
          { at: fault.at + repair.seconds(fault), by: -1 },
        ]
      : [],
  );
  let out = 0;
  let since = 0;
  let short = 0;
  for (const change of changes.sort((a, b) => a.at - b.at)) {
    const at = Math.min(change.at, setting.seconds);
    if (out > repair.spares) short += at - since;
    since = at;
    out += change.by;
  }
  return short / setting.seconds;
}
