import { describe, expect, it } from "vitest";
import { climb, replace, type LadderInput, type Need, type Standby } from "./ladder.ts";

const ONE_OUT = [{ node: "n3", why: "lost" }];
function ladder(part: Partial<LadderInput>): ReturnType<typeof climb> {
  return climb({ backoff: 0, out: [], members: 4, replaced: false, lent: false, sizes: [4], hold: 300, held: null, othersHold: false, ...part });
}

describe("the ladder, cheapest first", () => {
  it.each<[string, Partial<LadderInput>, string]>([
    ["all nodes are in service", {}, "in_place"],
    ["one is out and there is another", { out: ONE_OUT, replaced: true }, "swap"],
    ["there is none, and it is elastic: it doesn't wait", { out: ONE_OUT, sizes: [4, 3, 2] }, "shrink"],
    ["there is none, and it isn't elastic", { out: ONE_OUT }, "hold"],
    ["the smallest size is larger than what is left", { out: [...ONE_OUT, { node: "n2", why: "lost" }], sizes: [4, 3] }, "hold"],
    ["it has held for long enough", { out: ONE_OUT, held: 300 }, "requeue"],
    ["a spare is lent, which the queue takes back", { out: ONE_OUT, lent: true }, "requeue"],
    ["it doesn't want to hold", { out: ONE_OUT, hold: 0 }, "requeue"],
    ["another job holds already", { out: ONE_OUT, othersHold: true }, "requeue"],
    ["nothing is left to hold", { out: ["n0", "n1", "n2", "n3"].map((node) => ({ node, why: "lost" })) }, "requeue"],
    ["it backs off", { backoff: 10 }, "requeue"],
  ])("%s", (_when, part, rung) => {
    expect(ladder(part).rung).toBe(rung);
  });

  it("takes the largest size that fits, and says what was missing", () => {
    expect(ladder({ members: 8, out: [...ONE_OUT, { node: "n5", why: "cordoned" }], sizes: [8, 6, 4] })).toEqual({
      rung: "shrink",
      size: 6,
      why: "without n3 (lost), n5 (cordoned), for which there is no replacement now; it may run on 6",
    });
  });
});

describe("a replacement", () => {
  const NEED: Need = { node: "n0", fabric: ["z", "s", "l1", "n0"], shared: 0, devices: 4, share: 1000, cpus: 8, memory: 8 };
  const standby = (node: string, part: Partial<Standby> = {}): Standby => ({
    node,
    health: "ready",
    fabric: ["z", "s", "l2", node],
    spare: false,
    held: [0, 0, 0, 0, 0, 0],
    cpus: 8,
    memory: 8,
    ...part,
  });
  const nodes = (needs: Need[], standbys: Standby[]): string[] | undefined => replace(needs, standbys)?.map((one) => one.node);

  it("is well, near, and held back for this, in that order", () => {
    const near = { fabric: ["z", "s", "l1", "x"] };
    expect(nodes([NEED], [standby("a", { ...near, health: "suspect" }), standby("b")])).toEqual(["b"]);
    expect(nodes([NEED], [standby("a", { spare: true }), standby("b", near)])).toEqual(["b"]);
    expect(nodes([NEED], [standby("a"), standby("b", { spare: true })])).toEqual(["b"]);
  });

  it("has the devices, cpus and memory free", () => {
    expect(replace([NEED], [standby("a", { held: [1000, 0, 0, 500, 0, 0] })])).toEqual([{ node: "a", devices: [1, 2, 4, 5] }]);
    expect(replace([{ ...NEED, devices: 1, share: 500 }], [standby("a", { held: [1000, 500] })])).toEqual([{ node: "a", devices: [1] }]);
    for (const short of [{ held: [0, 0, 0, 1] }, { cpus: 7 }, { memory: 7 }]) expect(replace([NEED], [standby("a", short)])).toBeNull();
  });

  it("stays within the block that the job's topology requires, and stands in for one node only", () => {
    expect(nodes([{ ...NEED, shared: 3 }], [standby("a"), standby("b", { fabric: ["z", "s", "l1", "b"] })])).toEqual(["b"]);
    expect(nodes([{ ...NEED, shared: 3 }], [standby("a")])).toBeUndefined();
    expect(nodes([NEED, { ...NEED, node: "n1" }], [standby("a")])).toBeUndefined();
  });
});
