import type { JobView } from "@muster/model";
import { recordCommits, recordProgress } from "@muster/store";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startAttempt } from "../testing/start-attempt.ts";
import { testApi, type TestApi } from "../testing/test-api.ts";

let t: TestApi;
beforeAll(async () => {
  t = await testApi();
});
afterAll(() => t.close());

it("a job is told how often to checkpoint, from what its commits cost it", async () => {
  const body = { name: "train", project: "default", queue: "default", run: ["true"], resources: { accelerators: 1 }, checkpoint: { interval: "10m" } };
  const { id } = (await t.call("POST", "/v1/jobs", { body })).json as JobView;
  const incarnation = await startAttempt(t.pool, id, "n0");
  const attempt = { job: id, incarnation, attempt: 1 };
  /** A step that took so many seconds, with a commit at its end or none. */
  const makeStep = async (step: number, seconds: number, commits: boolean): Promise<void> => {
    await t.pool.query("UPDATE progress SET step_at = now() - make_interval(secs => $2) WHERE job = $1", [id, seconds]);
    if (commits) await recordCommits(t.pool, [{ ...attempt, worker: "worker/0", generation: 0, step, path: `/c/${step}` }]);
    await recordProgress(t.pool, [{ ...attempt, step, total: null, loss: null, lossIsNaN: false, rate: null, phase: null }]);
  };
  for (let step = 1; step <= 7; step++) await makeStep(step, 10, false);
  expect(((await t.call("GET", `/v1/jobs/${id}`)).json as JobView).checkpointing).toBeNull();
  await makeStep(8, 40, true);
  await makeStep(9, 10, false);
  await makeStep(10, 42, true);
  const { checkpointing } = (await t.call("GET", `/v1/jobs/${id}`)).json as JobView;
  // nothing failed here yet, so that what is published counts: 6.5 in 1,000 node-days
  const mean = 86_400 / 0.0065;
  expect(checkpointing).toMatchObject({ interval_seconds: 600, measured: 2, cost_seconds: expect.closeTo(31, 0) });
  expect(checkpointing?.mean_time_to_failure_seconds).toBeGreaterThan(mean * 0.9);
  expect(checkpointing?.suggested_interval_seconds).toBeCloseTo(
    Math.sqrt(2 * (checkpointing?.cost_seconds ?? 0) * (checkpointing?.mean_time_to_failure_seconds ?? 0)),
    -1,
  );
});
