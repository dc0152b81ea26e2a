import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';
import { playScenario } from './runner.ts';

describe('facts of other schedulers, restated', () => {
  for (const scenario of scenarios) {
    it(`${scenario.id}: ${scenario.title}`, () => {
      expect(playScenario(scenario)).toEqual([]);
    });
  }
});
