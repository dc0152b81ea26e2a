import { createEngine } from "@muster/placement";
import { pino } from "pino";
import { expect, test, vi } from "vitest";
import { LivePolicy } from "./live-policy.ts";

test("settings are checked, turned into the engine's units, and applied once", () => {
  const engine = createEngine();
  const set = vi.spyOn(engine, "setPolicy");
  const logger = pino({ level: "silent" });
  const refused = vi.spyOn(logger, "error");
  const policy = new LivePolicy(engine, logger);
  expect(policy.apply(undefined)).toBe(true);
  expect(set).not.toHaveBeenCalled();
  expect(policy.apply({ protected_runtime: "2m", consolidation: false, max_cross_zone_jobs: 3 })).toBe(true);
  expect(policy.apply({ protected_runtime: "2m", consolidation: false, max_cross_zone_jobs: 3 })).toBe(true);
  expect(set.mock.calls).toEqual([[{ protectedRuntimeMs: 120_000, consolidation: false, maxCrossZoneJobs: 3 }]]);
  expect(policy.apply({ protected_runtme: "2m" })).toBe(true);
  expect(refused.mock.calls[0]?.[0]).toMatchObject({ why: expect.stringContaining("protected_runtme") });
  // the defaults of what is taken back are the engine's own
  expect(policy.apply({ consolidation: false })).toBe(false);
  expect(set).toHaveBeenCalledTimes(1);
});
