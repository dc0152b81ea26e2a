import { expect, test } from "vitest";
import { fabricOf } from "./engine-inputs.ts";

test("a place in the fabric is told by each level's own name; lower levels may be missing, the node is none", () => {
  expect(fabricOf(["z", "s", "l", "n0"], ["zone", "spine", "leaf", "domain"])).toEqual({ zone: "z", spine: "s", leaf: "l", domain: "n0" });
  expect(fabricOf(["z", "s"], ["zone", "spine", "leaf"])).toEqual({ zone: "z", spine: "s" });
  expect(fabricOf(["z", "n0"], ["zone", "node"])).toEqual({ zone: "z" });
});
