import { describe, expect, it } from "vitest";
import { accountFor, sumUp, type Accounting, type AttemptTimes } from "./accounting.ts";

const HOUR = 3_600_000;
const attempt = (part: Partial<AttemptTimes>): AttemptTimes => ({
  scheduled: 0,
  up: 0,
  firstStepAt: null,
  lastStepAt: null,
  ended: null,
  firstStep: null,
  lastStep: null,
  devices: 8,
  cause: null,
  ...part,
});

describe("accountFor", () => {
  it("is nothing before a first start", () => {
    expect(accountFor([], HOUR)).toBeNull();
    expect(accountFor([attempt({ up: null })], HOUR)).toBeNull();
  });

  it("counts steps that are made again as lost, and the way back to what made it necessary", () => {
    const account = accountFor(
      [
        attempt({ firstStepAt: 0, lastStepAt: HOUR, ended: HOUR, firstStep: 1, lastStep: 100, cause: "infrastructure" }),
        attempt({ scheduled: HOUR, up: 1.25 * HOUR, firstStepAt: 1.5 * HOUR, lastStepAt: 2 * HOUR, ended: 2 * HOUR, firstStep: 81, lastStep: 130 }),
      ],
      2 * HOUR,
    );
    expect(account).toEqual({
      ettr: 0.65,
      goodput: 0.8667,
      steps: { done: 150, kept: 130 },
      productive_seconds: 1.3 * 3600,
      wall_seconds: 2 * 3600,
      // a fifth of an hour made again, and half an hour of starting, on eight devices
      wasted_device_hours: { infrastructure: 8 * 0.2 + 8 * 0.5 },
    });
  });

  it("counts an attempt that is still on, and charges its start to nobody's failure", () => {
    expect(accountFor([attempt({ up: HOUR / 2, firstStepAt: HOUR, lastStepAt: 2 * HOUR, firstStep: 1, lastStep: 10 })], 2 * HOUR)).toMatchObject({
      ettr: 0.6667,
      goodput: 1,
      wasted_device_hours: { start: 8 },
    });
  });

  it("goes by the time that workers were up where no step is reported", () => {
    const failed = attempt({ ended: HOUR, cause: "user" });
    const well = attempt({ scheduled: HOUR, up: HOUR, ended: 4 * HOUR });
    expect(accountFor([failed, well], 4 * HOUR)).toMatchObject({ ettr: 0.75, goodput: null, steps: { done: 0, kept: 0 }, wasted_device_hours: { user: 8 } });
    expect(accountFor([{ ...failed, cause: "stopped" }, well], 4 * HOUR)).toMatchObject({ ettr: 1 });
  });

  it("takes a second loss of the same steps as one each", () => {
    const one = attempt({ firstStepAt: 0, lastStepAt: HOUR, ended: HOUR, firstStep: 1, lastStep: 10, cause: "unknown" });
    const account = accountFor(
      [
        one,
        { ...one, scheduled: HOUR, up: HOUR, firstStepAt: HOUR, lastStepAt: 2 * HOUR, ended: 2 * HOUR },
        attempt({ scheduled: 2 * HOUR, up: 2 * HOUR, firstStepAt: 2 * HOUR, lastStepAt: 3 * HOUR, ended: 3 * HOUR, firstStep: 1, lastStep: 10 }),
      ],
      3 * HOUR,
    );
    expect(account).toMatchObject({ steps: { done: 30, kept: 10 }, ettr: 0.3333, wasted_device_hours: { unknown: 16 } });
  });
});

describe("sumUp", () => {
  const account = (part: Partial<Accounting>): Accounting => ({
    ettr: null,
    goodput: null,
    steps: { done: 0, kept: 0 },
    productive_seconds: 0,
    wall_seconds: 0,
    wasted_device_hours: {},
    ...part,
  });
  it("weighs jobs by their devices, and adds up what was wasted by its cause", () => {
    const large = account({
      productive_seconds: 1800,
      wall_seconds: 3600,
      steps: { done: 100, kept: 90 },
      wasted_device_hours: { infrastructure: 3, start: 1 },
    });
    const small = account({ productive_seconds: 3600, wall_seconds: 3600, steps: { done: 10, kept: 10 }, wasted_device_hours: { start: 0.5 } });
    expect(
      sumUp([
        { account: large, devices: 7 },
        { account: small, devices: 1 },
      ]),
    ).toEqual({
      jobs: 2,
      ettr: 0.5625,
      goodput: 0.9091,
      productive_device_hours: 4.5,
      wall_device_hours: 8,
      wasted_device_hours: { infrastructure: 3, start: 1.5 },
    });
  });

  it("has no ratio of nothing, and counts a job without devices", () => {
    expect(sumUp([])).toMatchObject({ jobs: 0, ettr: null, goodput: null });
    expect(sumUp([{ account: account({ productive_seconds: 60, wall_seconds: 120 }), devices: 0 }])).toMatchObject({ ettr: 0.5 });
  });
});
