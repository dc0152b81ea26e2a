import { expect, it } from "vitest";
import { storeIsOlder } from "./restored.ts";

const seen = (incarnation: string, attempt: number): { job: string; incarnation: string; attempt: number } => ({ job: "job_1", incarnation, attempt });

it.each([
  ["the same attempt", seen("10", 2), { incarnation: "10", attempt: 2 }, false],
  ["an older attempt than the store's, as of a late command", seen("10", 1), { incarnation: "10", attempt: 2 }, false],
  ["a newer attempt", seen("10", 3), { incarnation: "10", attempt: 2 }, true],
  ["a job that the store doesn't have", seen("10", 1), undefined, true],
  ["a newer incarnation", seen("11", 1), { incarnation: "10", attempt: 2 }, true],
  ["a newer incarnation of no particular job", seen("11", 0), undefined, true],
  ["nothing but the store's own incarnation", seen("10", 0), undefined, false],
  ["what is left from before this incarnation", seen("9", 5), { incarnation: "9", attempt: 2 }, false],
])("of %s", (_name, engine, store, older) => {
  expect(storeIsOlder(engine, store, "10")).toBe(older);
});
