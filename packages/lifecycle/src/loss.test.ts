import { expect, it } from "vitest";
import { judgeLoss } from "./loss.ts";

const usual = [2.1, 2.2, 2.0, 2.3, 2.1, 2.2, 2.4, 2.2];

it.each([
  ["nothing", [], null],
  ["a loss that is no number", [NaN, ...usual], "loss_nan"],
  ["one that is endless", [Infinity], "loss_nan"],
  ["a jump", [11.1, ...usual], "loss_jump"],
  ["less than a jump", [10.9, ...usual], null],
  ["a jump with too little before it", [50, ...usual.slice(1)], null],
  ["what was no number before isn't counted", [50, NaN, ...usual.slice(1)], null],
  ["losses below zero have no times", [-1, ...usual.map((one) => -one)], null],
] as const)("%s", (_, losses, condition) => expect(judgeLoss(losses)).toBe(condition));
