import { describe, expect, test } from "vitest";
import { absolute, age, bytes, duration, figure, humanize, milliseconds, percent, plural, ranges, shares, shortDuration } from "./format.ts";

describe("durations", () => {
  test.each([
    [0, "0s"],
    [0.04, "0.1s"],
    [0.44, "0.4s"],
    [59.9, "59s"],
    [61, "1m 01s"],
    [3599, "59m 59s"],
    [3660, "1h 01m"],
    [90_000, "1d 1h"],
    [-5, "0s"],
  ])("%f s is %s", (seconds, text) => expect(duration(seconds)).toBe(text));

  test.each([
    [59, "59s"],
    [60, "1m"],
    [7199, "1h"],
    [172_799, "47h"],
    [172_800, "2d"],
  ])("in one unit, %i s is %s", (seconds, text) => expect(shortDuration(seconds)).toBe(text));

  test.each([
    [0, "now"],
    [1400, "now"],
    [5000, "5s ago"],
    [-90_000, "in 1m"],
    [-1000, "now"],
  ])("%i ms after a moment, its age is %s", (passed, text) => expect(age(1_000_000, 1_000_000 + passed)).toBe(text));

  test("milliseconds grow into seconds", () => expect([0.84, 42.4, 1432].map(milliseconds)).toEqual(["0.8 ms", "42 ms", "1.4 s"]));
});

describe("amounts", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1536, "1.5 KiB"],
    [2 ** 40, "1 TiB"],
    [150 * 2 ** 20, "150 MiB"],
  ])("%i bytes are %s", (value, text) => expect(bytes(value)).toBe(text));

  test("part of a whole never claims all or nothing falsely", () => {
    expect([percent(0, 10), percent(1, 10_000), percent(9999, 10_000), percent(10, 10), percent(1, 0)]).toEqual(["0%", "<1%", "99%", "100%", "–"]);
  });

  test("shares of devices", () => expect([shares(2500), shares(1_000_000), shares(333)]).toEqual(["2.5", "1,000", "0.33"]));
  test("losses and rates keep four figures", () => expect([1.83421, 0, 0.000_012, 12_345_678].map(figure)).toEqual(["1.834", "0", "1.20e-5", "1.23e+7"]));
  test("device indexes as ranges", () => expect([ranges([3, 1, 2, 7, 0]), ranges([5]), ranges([])]).toEqual(["0-3,7", "5", ""]));
  test("plurals", () => expect([plural(1, "job"), plural(0, "job"), plural(1200, "process", "processes")]).toEqual(["1 job", "0 jobs", "1,200 processes"]));
});

test("a moment in full, in UTC", () => expect(absolute(Date.UTC(2026, 0, 2, 3, 4, 5, 678))).toBe("2026-01-02 03:04:05 UTC"));
test("a moment in the browser's zone names its offset", () =>
  expect(absolute(Date.UTC(2026, 0, 2), "local")).toMatch(/^2026-01-0[12] \d\d:\d\d:00 [+-]\d\d:\d\d$/));
test("words of the API become a sentence's start", () => expect(["worker_lost", "job.hold"].map(humanize)).toEqual(["Worker lost", "Job hold"]));
