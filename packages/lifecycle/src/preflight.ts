import type { Verdict } from "./classify.ts";

/*
 * What the checks before a start say. Each node runs its own within its worker (packages/launchers, preflight.ts) and tells in its
 * output how that went; what it means for the gang is decided here, from what all of them said.
 */

/** The rule's name, and that of the lines that are watched for. */
export const PREFLIGHT = "preflight";
/** How a worker ends whose check failed; its own program was not started. */
export const PREFLIGHT_EXIT = 94;
/** So many starts in a row that fail their check, each on other nodes: then the check is at fault. */
const TRIES = 3;

const ENDED = /^muster preflight: (passed|failed|timed out) after \d+ s.*$/;
const EXCHANGED = /^muster preflight: round \d+ with node (\d+): (passed|failed)\b.*$/;

/** The node ranks that a node exchanges data with, a round each; undefined: it has nobody in that round. */
export type Partners = readonly [number | undefined, number | undefined];

/**
 * Neighbours in pairs, then the same shifted by one: everybody has another partner in the second round, so that the one bad node of
 * N is the only one that can't exchange with either, or fails with a partner that could with another.
 */
export function partnersOf(rank: number, nodes: number): Partners {
  const even = rank % 2 === 0;
  const within = (other: number): number | undefined => (other >= 0 && other < nodes ? other : undefined);
  const first = within(even ? rank + 1 : rank - 1);
  // of an even number the first and the last are a pair of the second round, where that isn't the first round's
  const around = (other: number): number | undefined => (nodes % 2 === 0 && nodes > 2 ? (other + nodes) % nodes : within(other));
  const second = around(even ? rank - 1 : rank + 1);
  return [first, second === first ? undefined : second];
}

export interface Exchange {
  from: number;
  to: number;
  passed: boolean;
}

/**
 * Who is bad, by node ranks: who could exchange with nobody, and failed with one who could. Where nobody could with anybody, the one
 * whom more than one failed with, if there is only one such. Of two nodes that can't exchange, neither can be told from the other.
 */
export function isolate(exchanges: readonly Exchange[]): number[] {
  const failed = exchanges.filter((one) => !one.passed);
  const broken = new Set(failed.map(pairOf));
  // where the two don't agree it failed
  const able = new Set(exchanges.filter((one) => one.passed && !broken.has(pairOf(one))).flatMap(({ from, to }) => [from, to]));
  const partners = new Map<number, Set<number>>();
  for (const { from, to } of failed) {
    partners.set(from, (partners.get(from) ?? new Set()).add(to));
    partners.set(to, (partners.get(to) ?? new Set()).add(from));
  }
  const unable = [...partners].filter(([node]) => !able.has(node));
  const proven = unable.filter(([, others]) => [...others].some((other) => able.has(other)));
  const bad = proven.length > 0 ? proven : unable.filter(([, others]) => others.size > 1);
  return proven.length > 0 || bad.length === 1 ? bad.map(([node]) => node).sort((a, b) => a - b) : [];
}

function pairOf({ from, to }: Exchange): string {
  return from < to ? `${from} ${to}` : `${to} ${from}`;
}

/** What a worker's output says of its check. */
export interface PreflightReport {
  worker: string;
  node: string;
  nodeRank: number;
  tail: string;
}

export interface PreflightDecision {
  verdict: Verdict;
  /** Nodes that the next attempt leaves out, each with what shows that it is bad. */
  bad: { node: string; evidence: string }[];
}

/**
 * What a start that failed in its check means.
 * @param seen what the ending of the worker that failed first was taken for
 * @param earlier starts before it that failed in the same way, one after another and with no new checkpoint between
 */
export function decidePreflight(seen: Verdict, reports: readonly PreflightReport[], earlier: number): PreflightDecision {
  const read = reports.map((report) => ({ ...report, ...readReport(report) }));
  const exchanges = read.flatMap(({ nodeRank, exchanged }) => exchanged.map(({ to, passed }) => ({ from: nodeRank, to, passed })));
  const failing = read.filter(({ outcome }) => outcome === "failed" || outcome === "timed out");
  const badRanks = new Set(isolate(exchanges));
  const bad = (exchanges.length > 0 ? read.filter(({ nodeRank }) => badRanks.has(nodeRank)) : failing).map(({ node, lines }) => ({
    node,
    evidence: lines.at(-1) ?? seen.message,
  }));
  const evidence = [
    ...new Set(
      failing.concat(read.filter(({ node }) => bad.some((one) => one.node === node))).flatMap((one) => one.lines.map((line) => `${one.node}: ${line}`)),
    ),
  ];
  const verdict = { ...seen, evidence: evidence.slice(0, MOST_LINES) };
  if (exchanges.length === 0 && failing.length > 1 && failing.length * 2 > read.length)
    return { verdict: ofTheCheck(verdict, "retry", `it failed on ${failing.length} of ${read.length} nodes at once`), bad: [] };
  if (earlier + 1 >= TRIES)
    return { verdict: ofTheCheck(verdict, "fail", `it failed on ${TRIES} starts one after another, each without the nodes before`), bad: [] };
  if (bad.length === 0)
    return {
      verdict: { ...verdict, class: "unknown", action: "retry", node: null, message: "nodes can't exchange data, and which of them is bad can't be told" },
      bad,
    };
  const names = bad.map(({ node }) => node).join(", ");
  return { verdict: { ...verdict, node: bad[0]?.node ?? seen.node, message: `the check before the start failed on ${names}` }, bad };
}

const MOST_LINES = 20;

function ofTheCheck(verdict: Verdict, action: "retry" | "fail", why: string): Verdict {
  return { ...verdict, class: "user", action, node: null, message: `the check before the start is taken for broken itself: ${why}` };
}

function readReport({ tail }: PreflightReport): { outcome: string | undefined; exchanged: { to: number; passed: boolean }[]; lines: string[] } {
  const lines = tail.split("\n").filter((line) => ENDED.test(line) || EXCHANGED.test(line));
  return {
    outcome: lines.map((line) => ENDED.exec(line)?.[1]).findLast((one) => one !== undefined),
    exchanged: lines.flatMap((line) => {
      const found = EXCHANGED.exec(line);
      return found ? [{ to: Number(found[1]), passed: found[2] === "passed" }] : [];
    }),
    lines: lines.map((line) => line.replace("muster preflight: ", "")),
  };
}

/** The line by which a worker says that its check failed; undefined: it doesn't. */
export function failedPreflight(exitCode: number | null, tail: string): string | undefined {
  if (exitCode !== PREFLIGHT_EXIT) return undefined;
  return tail.split("\n").findLast((line) => ENDED.test(line) && !line.startsWith("muster preflight: passed"));
}
