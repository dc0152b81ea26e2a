import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { scenarios } from "./index.ts";
import { variations } from "./metamorphic.ts";
import { crowdedArb } from "../testing/crowded-scenarios.ts";
import { scenarioArb } from "../testing/random-scenarios.ts";
import { outcomesOf, playScenario } from "./runner.ts";

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

describe("random cases", () => {
  it("settle, where two pools are full of small jobs", () => {
    fc.assert(
      fc.property(crowdedArb, (scenario) => {
        expect(outcomesOf(scenario)).toHaveLength(scenario.steps.length);
      }),
      { numRuns: 200 },
    );
  });

  // Names decide between nodes that are alike, and the order of arrival between jobs that are.
  for (const variation of variations.filter(({ name }) => name !== "renamed" && name !== "permuted")) {
    it(`settle, and end alike ${variation.name}`, () => {
      fc.assert(
        fc.property(scenarioArb, (scenario) => {
          const outcomes = outcomesOf(scenario);
          const told = { ...scenario, steps: scenario.steps.map((step, i) => ({ ...step, expect: outcomes[i]! })) };
          expect(playScenario(variation.apply(told))).toEqual([]);
        }),
        { numRuns: 60 },
      );
    });
  }
});
