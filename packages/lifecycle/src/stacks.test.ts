import { expect, it } from "vitest";
import { describeStacks, type ProcessStack } from "./stacks.ts";

const stack = (rank: number | null, text: string): ProcessStack => ({ worker: "worker/0", node: `n${rank ?? 9}`, pid: 100 + (rank ?? 9), rank, text });

it("puts the process that is elsewhere than its peers first, and alike ones together", () => {
  const waiting = Array.from({ length: 7 }, (_, rank) => stack(rank, `Thread ${rank} (idle)\n  all_reduce (dist.py:120)`));
  expect(describeStacks([...waiting, stack(7, "Thread 9 (active)\n  read (loader.py:12)"), stack(null, "")])).toEqual([
    "rank 7 on n7:",
    "  Thread 9 (active)",
    "    read (loader.py:12)",
    "process 109 of worker/0 on n9:",
    "rank 0 on n0, rank 1 on n1, rank 2 on n2 and 4 more:",
    "  Thread 0 (idle)",
    "    all_reduce (dist.py:120)",
  ]);
});

it("stays short however much there is", () => {
  const stacks = Array.from({ length: 100 }, (_, rank) => stack(rank, `${"x".repeat(rank + 1)}\n`.repeat(100)));
  const lines = describeStacks(stacks);
  expect(lines.length).toBeLessThanOrEqual(31);
  expect(lines.at(-1)).toMatch(/^and \d+ more kinds of stacks$/);
  expect(describeStacks([])).toEqual([]);
});
