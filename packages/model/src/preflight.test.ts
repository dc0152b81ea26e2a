import { expect, test } from "vitest";
import { resolveJobSpec } from "./resolve.ts";

const wrong = (preflight: object, launcher = "torchrun"): string[] => {
  const resolved = resolveJobSpec({ name: "checked", nodes: 4, run: ["train.py"], launcher, preflight });
  return resolved.ok ? [] : resolved.errors.map((error) => error.path);
};

test("a check before each start is a list of words, or the one in pairs that torchrun has", () => {
  expect(wrong({ run: ["check.sh", "${MUSTER_NODE}"], timeout: "30s" })).toEqual([]);
  expect(wrong({ run: "pairwise" })).toEqual([]);
  expect(wrong({ run: "pairwise" }, "mpirun")).toEqual(["preflight.run"]);
  expect(wrong({ run: "check.sh" })).toEqual(["preflight.run"]);
  expect(wrong({ run: [] })).toEqual(["preflight.run"]);
  expect(wrong({ run: ["check.sh"], timeout: 0 })).toEqual(["preflight.timeout"]);
  expect(wrong({ run: ["check.sh", "${MUSTER_NOWHERE}"] })).toEqual(["preflight.run[1]"]);
});
