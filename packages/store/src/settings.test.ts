import { SILENCE_LIMITS } from "@muster/lifecycle";
import { effectiveSettings } from "@muster/model";
import { createEngine, DEFAULT_POLICY } from "@muster/placement";
import { expect, test } from "vitest";
import { policyOf } from "./scheduler/policy.ts";
import { effectiveSettingsOf, parseSettings, settingChanges, silenceLimitsOf } from "./settings.ts";

test("the defaults that are shown are those that are followed", () => {
  const shown = effectiveSettingsOf({});
  expect(effectiveSettings.parse(shown)).toEqual(shown);
  expect(silenceLimitsOf(shown.silence)).toEqual(SILENCE_LIMITS);
  expect(policyOf(shown.placement)).toEqual(DEFAULT_POLICY);
});

test("what is set reaches the engine in its units, and the engine takes it", () => {
  const { placement } = parseSettings({ placement: { protected_runtime: "2m", max_cross_zone_jobs: 3, reclaim: "never", fair_share_margin: 0.05 } });
  const policy = policyOf(placement ?? {});
  expect(policy).toEqual({ protectedRuntimeMs: 120_000, maxCrossZoneJobs: 3, reclaim: "never", fairShareMargin: 0.05 });
  createEngine().setPolicy(policy);
});

test("changes are told by path; what holds as before is none", () => {
  const [before, after] = [
    effectiveSettingsOf({ priorities: { urgent: 5 } }),
    effectiveSettingsOf({ placement: { backfill: "dated" }, silence: { lost_after: 60 } }),
  ];
  expect(settingChanges(before, after)).toEqual([
    { path: "priorities.urgent", from: 5, to: undefined },
    { path: "silence.lost_after", from: 25, to: 60 },
  ]);
  expect(settingChanges(after, after)).toEqual([]);
});
