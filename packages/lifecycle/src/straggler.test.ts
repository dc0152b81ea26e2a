import { describe, expect, it } from "vitest";
import { findStragglers, worthRestart, type RankTimes, type Straggler } from "./straggler.ts";

const NOW = 10_000_000;
const LIMITS = { factor: 1.2, windows: 5, span: 240_000, restart: 120_000 };

/** Reports each 30 s, newest first. */
function rank(number: number, seconds: number | readonly number[], count = 12, node = `n${number}`): RankTimes {
  return {
    rank: number,
    worker: `worker/${number}`,
    node,
    reports: Array.from({ length: count }, (_, index) => ({
      at: NOW - index * 30_000,
      seconds: typeof seconds === "number" ? seconds : (seconds[index] ?? 1),
    })),
  };
}

describe("a slow rank", () => {
  const peers = [rank(0, 1), rank(1, 1.02), rank(2, 0.98)];
  it("is found by its own time, beside the median of its peers", () => {
    expect(findStragglers(NOW, [...peers, rank(3, 1.5)], LIMITS)).toMatchObject([
      { rank: 3, node: "n3", own: 1.5, peers: 1, since: NOW - 330_000, evidence: [expect.stringContaining("rank 3 on n3 takes 1.500 s"), expect.any(String)] },
    ]);
  });

  it.each([
    ["is as slow as its peers may be", rank(3, 1.19)],
    ["has not been for long enough", rank(3, 1.5, 8)],
    ["was quick once meanwhile", rank(3, [1.5, 1.5, 1.5, 1])],
    ["has told too little", { ...rank(3, 1.5, 4), reports: [0, 100_000, 200_000, 300_000].map((ago) => ({ at: NOW - ago, seconds: 1.5 })) }],
  ])("is none that %s", (_, slow) => expect(findStragglers(NOW, [...peers, slow], LIMITS)).toEqual([]));

  it("is none among two, as nobody knows which is slow", () => expect(findStragglers(NOW, [rank(0, 1), rank(1, 2)], LIMITS)).toEqual([]));

  it("is found where half of all ranks are on one slow node", () => {
    const gang = [0, 1, 2, 3].map((one) => rank(one, 1, 12, one < 2 ? "a" : "b")).concat([4, 5, 6, 7].map((one) => rank(one, 2, 12, "slow")));
    expect(findStragglers(NOW, gang, LIMITS).map(({ rank: one, node }) => [one, node])).toEqual([4, 5, 6, 7].map((one) => [one, "slow"]));
  });
});

describe("whether a restart is worth it", () => {
  const slow = (since: number): Straggler => ({ rank: 3, worker: "worker/3", node: "n3", own: 2, peers: 1, since, evidence: [] });
  const cost = { now: NOW, restart: null, committedAt: NOW, replaceable: true };
  it("only when it has cost as much as a restart, redo included", () => {
    // half of the gang's time is lost
    expect(worthRestart(slow(NOW - 239_000), cost, LIMITS).act).toBe(false);
    expect(worthRestart(slow(NOW - 240_000), cost, LIMITS)).toEqual({ act: true, why: "it has cost 120 s, a restart 120 s" });
    expect(worthRestart(slow(NOW - 240_000), { ...cost, committedAt: NOW - 60_000 }, LIMITS).act).toBe(false);
    expect(worthRestart(slow(NOW - 360_000), { ...cost, committedAt: NOW - 60_000 }, LIMITS).act).toBe(true);
    expect(worthRestart(slow(NOW - 100_000), { ...cost, restart: 50_000 }, LIMITS).act).toBe(true);
  });

  it("never where the job would only wait", () => {
    expect(worthRestart(slow(0), { ...cost, replaceable: false }, LIMITS)).toEqual({ act: false, why: "no healthy node is free to take its place" });
  });
});
