import { describe, expect, it } from "vitest";
import { Invariants } from "./invariants.ts";
import { runJob, shareWithoutNodes } from "./job-run.ts";
import type { Policy, Setting } from "./job-run.ts";
import { muster } from "./muster.ts";
import { ELASTIC, ORACLE, RECREATE, byConstants, stepfunRepair } from "./peers.ts";
import type { Constants } from "./peers.ts";
import { LLAMA3 } from "./causes.ts";
import { Random } from "./random.ts";
import { DAY, adversarial, llama3Faults, poissonFaults } from "./trace.ts";
import type { Fault } from "./trace.ts";

const OPTIONS = { checker: true, maxRestarts: 1000, operator: 1800, step: 6 };
const CALM: Setting = { nodes: 64, seconds: DAY, start: 60, load: 60, commitEvery: 300, faults: [], storageAway: [], controlAway: [] };

function fault(at: number, name: string, more: Partial<Fault> = {}): Fault {
  const cause = LLAMA3.find((one) => one.name === name);
  if (!cause) throw new Error(`no cause ${name}`);
  return { at, slot: 7, cause, hangs: false, draws: [0, 0, 0], resident: false, ...more };
}

describe("the simulator gives what is published", () => {
  /** Meta's model: nothing but a start of 5 min, loading included, and what is made again. */
  const metas: Constants = { ...ORACLE, name: "Meta" };
  const day = (seed: number, minutes: number): number => {
    const seconds = 400 * DAY;
    return runJob(
      { ...CALM, nodes: 2048, seconds, start: 300, load: 0, commitEvery: minutes * 60, faults: poissonFaults(new Random(seed), 2048, 6.5, seconds) },
      byConstants(metas),
    ).ettr;
  };

  it.each([
    [60, 0.7],
    [5, 0.93],
  ])("16,384 GPUs, a checkpoint every %s min: expected ETTR %s", (minutes, published) => {
    const ettr = day(1, minutes);
    expect(Math.abs(ettr - published)).toBeLessThan(0.02);
    // and the closed form of the renewal process, in minutes
    const mean = (1000 * 24 * 60) / (6.5 * 2048);
    expect(ettr).toBeCloseTo((Math.exp(-5 / mean) * minutes) / Math.expm1(minutes / mean) / mean, 2);
  });

  it("draws Llama 3's 419 faults in 54 days by their counts", () => {
    const faults = llama3Faults(new Random(1));
    expect(faults).toHaveLength(419);
    expect(faults.filter((one) => !one.cause.out)).toHaveLength(54 + 7 + 2);
    expect(faults.every((one, index) => one.at >= (faults[index - 1]?.at ?? 0) && one.at < 54 * DAY)).toBe(true);
    const hangs = faults.filter((one) => one.hangs).length / 419;
    expect(hangs).toBeGreaterThan(0.05);
    expect(hangs).toBeLessThan(0.15);
  });
});

describe("a job from fault to fault", () => {
  it("loses only its first start where nothing fails", () => {
    expect(runJob(CALM, muster(OPTIONS)).ettr).toBe((DAY - 120) / DAY);
  });

  it("makes again what was not committed, under an oracle to the second", () => {
    const outcome = runJob({ ...CALM, faults: [fault(10_000, "GPU")] }, byConstants(ORACLE));
    expect(outcome).toMatchObject({ failures: 1, redone: (10_000 - 120) % 300 });
    expect(outcome.ettr).toBeCloseTo((DAY - 240 - ((10_000 - 120) % 300)) / DAY, 10);
  });

  it("keeps no commit that storage could not take", () => {
    const faults = [fault(10_000, "GPU")];
    const outcome = runJob({ ...CALM, faults, storageAway: [{ from: 9000, until: 9990 }] }, byConstants(ORACLE));
    expect(outcome.redone).toBe(10_000 - 120 - 8700);
  });

  it("waits for a repair where spares are used up", () => {
    const faults = [fault(10_000, "GPU"), fault(20_000, "GPU", { slot: 8 })];
    const setting = { ...CALM, faults, repair: { spares: 1, seconds: () => 30_000 } };
    expect(shareWithoutNodes(setting)).toBeCloseTo(20_000 / DAY, 6);
    expect(runJob(setting, byConstants(ORACLE)).downtime.p99).toBeCloseTo(20_120, 6);
  });

  it("repairs within StepFun's median, P90 and cut", () => {
    const random = new Random(3);
    const hours = Array.from({ length: 4000 }, () => stepfunRepair(fault(0, "GPU", { draws: [0, 0, random.normal()] })) / 3600).sort((a, b) => a - b);
    expect((hours[2000] ?? 0) / 20.4).toBeCloseTo(1, 0);
    expect((hours[3600] ?? 0) / 309).toBeCloseTo(1, 0);
    expect(hours.at(-1)).toBeLessThanOrEqual(81 * 24);
  });
});

describe("with the rules that ship", () => {
  const one = (more: Fault, setting: Partial<Setting> = {}) => runJob({ ...CALM, faults: [more], ...setting }, muster(OPTIONS));

  it("finds a silent node after the lost limit and replaces it", () => {
    const outcome = one(fault(10_000, "power supply"));
    expect(outcome).toMatchObject({ failures: 1, failedStarts: 0, invariantsBroken: 0 });
    expect(outcome.downtime.p50).toBeGreaterThanOrEqual(120 + 25);
    expect(outcome.downtime.p50).toBeLessThan(120 + 35);
  });

  it("finds all nodes of a burst, and waits for the last of them", () => {
    const faults = Array.from({ length: 14 }, (_, slot) => fault(10_000, "power supply", { slot, draws: [0.5, slot / 14, 0] }));
    expect(runJob({ ...CALM, nodes: 2048, faults }, muster(OPTIONS))).toMatchObject({ failures: 1, failedStarts: 0, invariantsBroken: 0 });
  });

  it("finds a hang by its limit of a minute, and goes on with its clock after the control plane was away", () => {
    const hang = fault(10_000, "software bug", { hangs: true });
    const seen = one(hang).downtime.p50;
    expect(seen).toBeGreaterThanOrEqual(120 + 54);
    expect(seen).toBeLessThan(120 + 70);
    const later = one(hang, { controlAway: [{ from: 10_040, until: 10_045 }] }).downtime.p50;
    // half a minute for what was done meanwhile to be told
    expect(later).toBeGreaterThanOrEqual(120 + 75);
    expect(later).toBeLessThan(120 + 85);
  });

  it("leaves a hang to the framework's own watchdog where that is sooner", () => {
    const kills = Array.from({ length: 143 }, (_, index) => ({ from: (index + 1) * 600, until: (index + 1) * 600 + 5 }));
    // no step yet, so that the limit is half an hour
    const outcome = one(fault(100, "software bug", { hangs: true }), { controlAway: kills });
    expect(outcome.downtime.p50).toBeGreaterThanOrEqual(600 + 120);
    expect(outcome.downtime.p50).toBeLessThan(600 + 140);
  });

  describe("where the placement engine has so many nodes and no more", () => {
    const repaired = (faults: Fault[], spares: number, seconds: number) => {
      const outcome = runJob({ ...CALM, faults, repair: { spares, seconds: () => seconds } }, muster(OPTIONS));
      expect(outcome.invariantsBroken).toBe(0);
      return { ...outcome, ways: outcome.detail.find((line) => line.startsWith("started")) };
    };
    const gpu = (at: number, slot = 7): Fault => fault(at, "GPU memory (HBM3)", { slot });

    it("comes back with a spare, or on its own nodes where none is broken", () => {
      expect(repaired([gpu(10_000)], 1, DAY).ways).toBe("started at first 1, with a replacement 1");
      expect(repaired([fault(10_000, "collective watchdog")], 0, DAY).ways).toBe("started at first 1, in place 1");
    });

    it("holds its nodes while one comes back within five minutes, and waits in the queue for one that takes longer", () => {
      const soon = repaired([gpu(10_000)], 0, 200);
      expect(soon.ways).toBe("started at first 1, with one that came while it held the others 1");
      expect(soon.downtime.p50).toBeCloseTo(200 + 120, 6);
      const late = repaired([gpu(10_000)], 0, 20_000);
      expect(late.ways).toBe("started at first 1, through the queue 1");
      expect(late.downtime.p50).toBeCloseTo(20_000 + 120, 6);
    });

    it("gets nodes again that it had left out, once they are repaired: else it would run out of them", () => {
      const faults = Array.from({ length: 40 }, (_, index) => gpu(2000 * (index + 1), index));
      expect(repaired(faults, 2, 3000)).toMatchObject({ failures: 40, ways: "started at first 1, with a replacement 40" });
    });
  });

  it("breaks an invariant where a job is left for dead", () => {
    const forgetful: Policy = {
      name: "forgetful",
      begin: () => ({
        recover: () => ({ at: DAY, replaced: [] }),
        knownOut: () => true,
        started: () => undefined,
        figures: () => ({ givenUp: 0, invariantsBroken: 0, detail: [] }),
      }),
    };
    expect(runJob({ ...CALM, faults: [fault(10_000, "GPU")] }, forgetful).invariantsBroken).toBe(1);
  });

  it("replaces the node of an uncorrectable memory error without a second failure", () => {
    expect(one(fault(10_000, "GPU memory (HBM3)"))).toMatchObject({ failures: 1, failedStarts: 0, givenUp: 0 });
  });

  it("gives a job up that shows the same error twice with no commit between", () => {
    const twice = [fault(10_000, "software bug"), fault(10_200, "software bug")];
    expect(runJob({ ...CALM, faults: twice }, muster(OPTIONS))).toMatchObject({ givenUp: 1, invariantsBroken: 0 });
    const apart = [fault(10_000, "software bug"), fault(11_000, "software bug")];
    expect(runJob({ ...CALM, faults: apart }, muster(OPTIONS))).toMatchObject({ givenUp: 0 });
  });

  it("breaks no invariant under everything at once, and is the same for the same seed", () => {
    const setting = { ...CALM, nodes: 512, seconds: 14 * DAY, ...adversarial(new Random(5), 512, 14 * DAY) };
    const outcome = runJob(setting, muster(OPTIONS));
    expect(outcome.invariantsBroken).toBe(0);
    expect(outcome.failures).toBeGreaterThan(50);
    expect(runJob(setting, muster(OPTIONS))).toEqual(outcome);
  });

  it("never does better than the oracle", () => {
    const setting = { ...CALM, nodes: 512, seconds: 54 * DAY, faults: llama3Faults(new Random(2), 512) };
    const oracle = runJob(setting, byConstants(ORACLE)).ettr;
    for (const policy of [muster(OPTIONS), byConstants(ELASTIC), byConstants(RECREATE)]) expect(runJob(setting, policy).ettr).toBeLessThan(oracle);
  });
});

it("counts an invariant that is broken", () => {
  const invariants = new Invariants();
  const none = { user: 0, infrastructure: 0, unknown: 0 };
  const verdict = {
    class: "user",
    rule: "x",
    action: "retry",
    message: "",
    worker: null,
    node: null,
    exitCode: 1,
    signal: null,
    signature: "",
    evidence: [],
  } as const;
  invariants.charged(none, { ...none, user: 1, unknown: 1 }, { ...verdict, evidence: [] });
  expect(invariants.broken).toBe(4);
  expect(invariants.detail()).toContain("BROKEN 2 times: nothing is charged without a cause");
});
