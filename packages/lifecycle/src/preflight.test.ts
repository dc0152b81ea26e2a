import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { classify, type Ending } from "./classify.ts";
import { decidePreflight, isolate, partnersOf, type Exchange, type PreflightReport } from "./preflight.ts";

/** What all nodes see where these are bad: an exchange with one of them fails. */
function exchangesOf(nodes: number, bad: ReadonlySet<number>): Exchange[] {
  return Array.from({ length: nodes }, (_, from) =>
    partnersOf(from, nodes).flatMap((to) => (to === undefined ? [] : [{ from, to, passed: !bad.has(from) && !bad.has(to) }])),
  ).flat();
}

describe("exchanges in pairs", () => {
  it("are between two who both know of it, in each round with another", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), (nodes) => {
        for (let rank = 0; rank < nodes; rank++) {
          const own = partnersOf(rank, nodes);
          expect(own.map((partner, round) => partner === undefined || partnersOf(partner, nodes)[round] === rank)).toEqual([true, true]);
          const known = own.filter((one) => one !== undefined);
          expect(new Set([...known, rank]).size).toBe(known.length + 1);
          expect(known.length > 0).toBe(nodes > 1);
        }
      }),
    );
  });

  it("find the one bad node of N in two rounds, whoever it is, and nobody else", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 200 }).chain((nodes) => fc.tuple(fc.constant(nodes), fc.nat(nodes - 1), fc.boolean())),
        ([nodes, bad, silent]) => {
          // a bad node may say what it saw, or nothing
          const seen = exchangesOf(nodes, new Set([bad])).filter(({ from }) => !silent || from !== bad);
          expect(isolate(seen)).toEqual([bad]);
        },
      ),
    );
  });

  it("accuse no good node, however many are bad, as long as one exchange passed", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 60 }).chain((nodes) => fc.tuple(fc.constant(nodes), fc.uniqueArray(fc.nat(nodes - 1), { maxLength: nodes }))),
        ([nodes, bad]) => {
          const seen = exchangesOf(nodes, new Set(bad));
          fc.pre(seen.some((one) => one.passed));
          for (const accused of isolate(seen)) expect(bad).toContain(accused);
        },
      ),
    );
  });

  it("name nobody where two can't tell which of them it is, nor where all went well", () => {
    expect(isolate(exchangesOf(2, new Set([1])))).toEqual([]);
    expect(isolate(exchangesOf(8, new Set()))).toEqual([]);
    expect(isolate(exchangesOf(8, new Set([0, 1, 2, 3, 4, 5, 6, 7])))).toEqual([]);
  });
});

function ending(node: string, tail: string, exitCode = 94): Ending {
  return { worker: `worker/${node}`, node, rank: null, exitCode, signal: null, oom: false, lost: false, reason: null, tail, matched: [] };
}

function decide(tails: readonly string[], earlier = 0) {
  const reports = tails.map((tail, nodeRank): PreflightReport => ({ worker: `worker/${nodeRank}`, node: `n${nodeRank}`, nodeRank, tail }));
  const first = reports.find(({ tail }) => /^muster preflight: (failed|timed out)/m.test(tail)) as PreflightReport;
  return decidePreflight(classify([ending(first.node, first.tail)], []), reports, earlier);
}

const PASSED = "muster preflight: passed after 2 s\n";
const FAILED = "no device\nmuster preflight: failed after 1 s: exit code 3\n";

describe("a start that fails in its check", () => {
  it("is the node's whose check failed, which the next attempt leaves out", () => {
    const { verdict, bad } = decide([PASSED, FAILED, PASSED]);
    expect(verdict).toMatchObject({ rule: "preflight", class: "infrastructure", action: "exclude_node", node: "n1" });
    expect(verdict.evidence).toEqual(["n1: failed after 1 s: exit code 3"]);
    expect(bad).toEqual([{ node: "n1", evidence: "failed after 1 s: exit code 3" }]);
  });

  it("leaves out all whose check failed, one that did not end in time as well", () => {
    expect(decide([PASSED, FAILED, PASSED, "muster preflight: timed out after 300 s\n", PASSED]).bad.map(({ node }) => node)).toEqual(["n1", "n3"]);
  });

  it("is the check's own where it fails nearly everywhere, or again and again", () => {
    expect(decide([FAILED, FAILED, PASSED])).toMatchObject({ verdict: { class: "user", action: "retry" }, bad: [] });
    expect(decide([PASSED, FAILED, PASSED], 2)).toMatchObject({ verdict: { class: "user", action: "fail" }, bad: [] });
  });

  it("names the bad one of a pairwise check, not its partners", () => {
    const said = (...lines: string[]): string => lines.map((line) => `muster preflight: ${line}\n`).join("");
    const tails = [
      said("round 1 with node 1: failed after 20 s", "round 2 with node 3: passed after 1 s", "passed after 21 s"),
      said("round 1 with node 0: failed after 20 s", "round 2 with node 2: failed after 20 s", "failed after 40 s: exit code 1"),
      said("round 1 with node 3: passed after 1 s", "round 2 with node 1: failed after 39 s", "passed after 40 s"),
      said("round 1 with node 2: passed after 1 s", "round 2 with node 0: passed after 20 s", "passed after 21 s"),
    ];
    expect(decide(tails)).toMatchObject({ verdict: { action: "exclude_node", node: "n1" }, bad: [{ node: "n1" }] });
    const two = [tails[1], tails[1]].map((tail) => tail?.replace(/^.*round 2.*\n/m, "") ?? "");
    expect(decide([two[0]?.replace("node 0", "node 1") ?? "", two[1] ?? ""])).toMatchObject({
      verdict: { class: "unknown", action: "retry", node: null },
      bad: [],
    });
  });

  it("is told from a program of the job's that ends with the same code", () => {
    expect(classify([ending("n0", "bye\n")], []).rule).toBe("exit_code");
    expect(classify([ending("n0", FAILED, 1)], []).rule).toBe("exit_code");
  });
});
