import { describe, expect, it } from "vitest";
import { judgeSilence, SILENCE_LIMITS, type SilenceInput, type WatchedNode } from "./silence.ts";

const T = 1_000_000;

/** Names give the switch: `a3` hangs on switch `a`. The number is when it was last heard of. */
function nodes(heard: Record<string, number>, lost: string[] = []): WatchedNode[] {
  return Object.entries(heard).map(([node, at]) => ({ node, switch: node[0] as string, heard: at, listenedSince: 0, lost: lost.includes(node) }));
}
function judge(part: Partial<SilenceInput>): ReturnType<typeof judgeSilence> {
  return judgeSilence({ now: T, limits: SILENCE_LIMITS, nodes: [], watchingSince: 0, brakedSince: null, liftedAt: null, ...part });
}
const ago = (seconds: number): number => T - seconds * 1000;
/** 20 nodes on 4 switches, all heard of now. */
const twenty = Object.fromEntries(["a", "b", "c", "d"].flatMap((name) => [0, 1, 2, 3, 4].map((index) => [`${name}${index}`, T])));
const spread = (seconds: number): Record<string, number> => ({ a0: ago(seconds), b0: ago(seconds), c0: ago(seconds), d0: ago(seconds), a1: ago(seconds) });

describe("judgeSilence", () => {
  it.each([
    ["heard of just now", T, [], []],
    ["just below the suspect limit", ago(19.9), [], []],
    ["at the suspect limit", ago(20), ["a0"], []],
    ["at the lost limit", ago(25), ["a0"], ["a0"]],
  ])("a node %s", (_name, heard, suspect, lost) => {
    expect(judge({ nodes: nodes({ ...twenty, a0: heard }) })).toEqual({ suspect, lost, brake: { kind: "off" } });
  });

  it("a node that is known to have died is lost at once, though nobody has watched for long", () => {
    const dead = (names: string[]): WatchedNode[] => nodes(twenty).map((node) => ({ ...node, dead: names.includes(node.node) }));
    expect(judge({ nodes: dead(["a0"]), watchingSince: T })).toEqual({ suspect: ["a0"], lost: ["a0"], brake: { kind: "off" } });
    // that goes for one or a few: where many die at once below several switches, the trouble is likelier one's own
    expect(judge({ nodes: dead(["a0", "b0", "c0", "d0", "a1"]) })).toMatchObject({ lost: [], brake: { kind: "engage" } });
  });

  it("declares nothing within one lost limit of the moment since which it watches", () => {
    const silent = nodes({ ...twenty, a0: ago(3600) });
    expect(judge({ nodes: silent, watchingSince: ago(24.9) }).lost).toEqual([]);
    expect(judge({ nodes: silent, watchingSince: ago(25) }).lost).toEqual(["a0"]);
  });

  it("declares nothing within one lost limit of the moment since which somebody listens to it", () => {
    const silent = nodes({ ...twenty, a0: ago(3600) });
    expect(judge({ nodes: silent.map((node) => Object.assign(node, { listenedSince: ago(24.9) })) }).lost).toEqual([]);
    expect(judge({ nodes: silent.map((node) => Object.assign(node, { listenedSince: ago(25) })) }).lost).toEqual(["a0"]);
  });

  it("takes the silence of a cluster for its nodes' only after so long a time in which the control plane was well", () => {
    const away = (seconds: number): WatchedNode[] =>
      nodes({ ...twenty, a0: ago(seconds) }).map((node) => (node.node === "a0" ? { ...node, clusterAway: true } : node));
    expect(judge({ nodes: away(599) })).toMatchObject({ suspect: ["a0"], lost: [] });
    expect(judge({ nodes: away(600) })).toMatchObject({ lost: ["a0"] });
    expect(judge({ nodes: away(3600), watchingSince: ago(599) })).toMatchObject({ suspect: ["a0"], lost: [] });
  });

  it("does not declare twice", () => {
    expect(judge({ nodes: nodes({ ...twenty, a0: ago(60) }, ["a0"]) })).toEqual({ suspect: [], lost: [], brake: { kind: "off" } });
  });

  it.each([
    ["five of twenty below four switches", { ...twenty, ...spread(30) }, "engage"],
    ["four of twenty", { ...twenty, ...spread(30), a1: T }, "off"],
    ["five of twenty-five, which is a fifth and not more", { ...twenty, ...spread(30), e0: T, e1: T, e2: T, e3: T, e4: T }, "off"],
    ["all five below one switch", { ...twenty, a0: ago(30), a1: ago(30), a2: ago(30), a3: ago(30), a4: ago(30) }, "off"],
    ["five, but over more time than one lost limit", { ...twenty, a0: ago(90), b0: ago(60), c0: ago(50), d0: ago(30), a1: ago(26) }, "off"],
    ["five that are only suspect", { ...twenty, ...spread(21) }, "engage"],
  ])("the brake for %s", (_name, heard, brake) => {
    const decision = judge({ nodes: nodes(heard) });
    expect(decision.brake.kind).toBe(brake);
    expect(decision.lost.length === 0).toBe(brake === "engage");
  });

  it("counts those declared lost a moment before, but not those lost long ago", () => {
    expect(judge({ nodes: nodes({ ...twenty, ...spread(26), a1: ago(20) }, ["a0", "b0", "c0", "d0"]) }).brake.kind).toBe("engage");
    expect(judge({ nodes: nodes({ ...twenty, ...spread(3600), a1: ago(25) }, ["a0", "b0", "c0", "d0"]), watchingSince: ago(30) })).toMatchObject({
      lost: ["a1"],
      brake: { kind: "off" },
    });
  });

  it("takes nodes on unknown switches for spread", () => {
    const unknown = nodes({ ...twenty, ...spread(30) }).map((node) => ({ ...node, switch: null }));
    expect(judge({ nodes: unknown }).brake.kind).toBe("engage");
  });

  it("holds while they are silent, and lifts when enough are heard of again", () => {
    const silent = { ...twenty, ...spread(100) };
    expect(judge({ nodes: nodes(silent), brakedSince: ago(75) })).toMatchObject({ lost: [], brake: { kind: "hold" } });
    expect(judge({ nodes: nodes({ ...silent, a0: T }), brakedSince: ago(75) })).toMatchObject({ lost: [], brake: { kind: "lift" } });
    // that the control plane listens anew is no answer
    expect(judge({ nodes: nodes(silent), brakedSince: ago(75), watchingSince: ago(1) }).brake.kind).toBe("hold");
  });

  it("lifts after ten minutes in which the control plane was well, not merely passed", () => {
    const silent = nodes({ ...twenty, ...spread(700) });
    expect(judge({ nodes: silent, brakedSince: ago(600) }).brake.kind).toBe("lift");
    expect(judge({ nodes: silent, brakedSince: ago(660), watchingSince: ago(599) }).brake.kind).toBe("hold");
  });

  it("declares under the brake what somebody else knows to be dead, and lifts when too few are left to wonder about", () => {
    const silent = (dead: readonly string[]): WatchedNode[] =>
      nodes({ ...twenty, ...spread(100), b1: ago(100) }).map((node) => ({ ...node, confirmed: dead.includes(node.node) }));
    expect(judge({ nodes: silent(["a0"]), brakedSince: ago(75) })).toMatchObject({
      lost: ["a0"],
      brake: { kind: "hold", silent: ["a1", "b0", "b1", "c0", "d0"] },
    });
    expect(judge({ nodes: silent(["a0", "b0"]), brakedSince: ago(75) })).toMatchObject({ lost: ["a0", "b0"], brake: { kind: "lift" } });
    expect(judge({ nodes: silent(["a0"]) })).toMatchObject({ lost: ["a0"], brake: { kind: "engage" } });
    // a node that is heard of is alive, whoever says otherwise
    expect(judge({ nodes: nodes(twenty).map((node) => ({ ...node, confirmed: true })) })).toMatchObject({ suspect: [], lost: [] });
  });

  it("declares what was silent before the lift, and does not engage for the same again", () => {
    const silent = { ...twenty, ...spread(100) };
    expect(judge({ nodes: nodes(silent), liftedAt: ago(1) })).toMatchObject({ lost: ["a0", "a1", "b0", "c0", "d0"], brake: { kind: "off" } });
    const more = { ...silent, b1: ago(21), c1: ago(21), d1: ago(21), a2: ago(21), b2: ago(21) };
    expect(judge({ nodes: nodes(more), liftedAt: ago(50) }).brake.kind).toBe("engage");
  });

  it("engages for what was last heard of shortly before the lift that it brought about", () => {
    expect(judge({ nodes: nodes({ ...twenty, ...spread(26) }), liftedAt: ago(25) })).toMatchObject({ lost: [], brake: { kind: "engage" } });
  });
});
