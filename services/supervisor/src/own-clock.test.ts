import { expect, it } from "vitest";
import { OwnClock } from "./own-clock.ts";

it("stands still while its process does, and goes on after", async () => {
  const clock = new OwnClock();
  const [before, began] = [clock.now(), performance.now()];
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500);
  const [after, ended] = [clock.now(), performance.now()];
  expect(ended - began).toBeGreaterThanOrEqual(2499);
  expect(after - before).toBeLessThan(1500);
  expect(clock.stood).toBeGreaterThan(1000);
  await expect.poll(() => clock.now(), { timeout: 30_000 }).toBeGreaterThan(after + 300);
  clock.close();
});
