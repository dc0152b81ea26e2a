import { expect, it } from "vitest";
import { scoreLemon, type NodeFault } from "./lemon.ts";

const HOUR = 3_600_000;
const NOW = 1_000 * 24 * HOUR;
const fault = (hoursAgo: number, warning = false): NodeFault => ({ at: NOW - hoursAgo * HOUR, warning });

it.each([
  ["none", [], 0, 0],
  ["two that are days apart", [fault(100), fault(1)], 2, 2],
  ["a burst within an hour is one", [fault(10), fault(9.9), fault(9.5)], 1, 1],
  ["a warning is half", [fault(50, true), fault(1)], 1.5, 2],
  ["a warning beside a fault adds nothing", [fault(10, true), fault(9.5)], 1, 1],
  ["what is older than 28 days is forgotten", [fault(28 * 24 + 1), fault(1)], 1, 1],
  ["what hasn't been yet doesn't count", [fault(-1)], 0, 0],
] as [string, NodeFault[], number, number][])("%s", (_, faults, score, episodes) => {
  expect(scoreLemon(faults, NOW)).toMatchObject({ score, episodes });
});
