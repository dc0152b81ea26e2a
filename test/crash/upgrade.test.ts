import { expect, it } from "vitest";
import { runUpgrade } from "./scenarios/upgrade.ts";

it("upgrade, downgrade and upgrade again by one version under running jobs: none is started anew", async () => {
  expect(await runUpgrade(6, { released: false })).toMatchObject({ jobs: 6, changes: 3, restarted: 0 });
}, 300_000);
