import { describe, expect, it } from "vitest";
import { scenarios } from "./index.ts";
import { variations } from "./metamorphic.ts";
import { playScenario } from "./runner.ts";

describe("facts of other schedulers, restated", () => {
  for (const scenario of scenarios) {
    it(`${scenario.id}: ${scenario.title}`, () => {
      expect(playScenario(scenario)).toEqual([]);
    });
  }
});

for (const variation of variations) {
  describe(`the same facts, ${variation.name}`, () => {
    for (const scenario of scenarios) {
      it(`${scenario.id}: ${scenario.title}`, () => {
        expect(playScenario(variation.apply(scenario))).toEqual([]);
      });
    }
  });
}
