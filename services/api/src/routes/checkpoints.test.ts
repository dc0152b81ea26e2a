import { afterAll, beforeAll, expect, test } from "vitest";
import { makeAttemptToken, readCluster } from "@muster/store";
import { endAttempt, startAttempt } from "../testing/start-attempt.ts";
import { testApi, type TestApi } from "../testing/test-api.ts";

let t: TestApi;
let secret: Buffer;
beforeAll(async () => {
  t = await testApi();
  ({ secret } = await readCluster(t.pool));
});
afterAll(() => t.close());

async function running(
  more: object = {},
  node = "n0",
): Promise<{ job: string; incarnation: string; token: string; dir: string; commit: (body: object, token?: string) => ReturnType<TestApi["call"]> }> {
  const made = await t.call("POST", "/v1/jobs", { body: { name: "train", project: "own", run: ["true"], checkpoint: { dir: "/ckpt" }, ...more } });
  const { id: job } = made.json as { id: string };
  const incarnation = await startAttempt(t.pool, job, node);
  const token = makeAttemptToken(secret, { job, incarnation, attempt: 1 });
  return {
    job,
    incarnation,
    token,
    dir: `/ckpt/${job}/attempt-${incarnation}-1`,
    commit: (body, as = token) => t.call("POST", `/v1/jobs/${job}/checkpoints`, { token: as, body }),
  };
}

test("an attempt commits once per step, and the job shows its latest checkpoint", async () => {
  const { job, dir, commit } = await running();
  const first = await commit({ step: 10, path: `${dir}/step-10` });
  expect(first.status, first.text).toBe(201);
  const again = await commit({ step: 10, path: `${dir}/step-10` });
  expect(again.status).toBe(200);
  expect(again.json).toEqual(first.json);
  await commit({ step: 20, path: `${dir}/step-20` });
  expect((await t.call("GET", `/v1/jobs/${job}`)).json).toMatchObject({ latest_checkpoint: { step: 20, attempt: 1 } });
  expect(((await t.call("GET", `/v1/jobs/${job}/checkpoints`)).json as { items: { step: number }[] }).items.map((one) => one.step)).toEqual([20, 10]);
  expect(((await t.call("GET", `/v1/events?job=${job}&kind=checkpoint.accepted`)).json as { items: unknown[] }).items).toHaveLength(2);
});

test("a path must lie below the attempt's own folder", async () => {
  const { job, dir, incarnation, commit } = await running();
  for (const path of [
    "/etc/passwd",
    `${dir}/../attempt-${incarnation}-2/x`,
    `${dir}x/step`,
    dir.slice(1),
    `/ckpt/${job}/attempt-${incarnation}-11/step`,
    `/elsewhere${dir}/step`,
    `/ckpt/${job}/committed/1-2`,
  ]) {
    expect((await commit({ step: 1, path })).json, path).toMatchObject({ status: 422, code: "invalid", errors: [{ path: "path" }] });
  }
  expect((await commit({ step: 1, path: dir })).status).toBe(201);
  expect((await commit({ step: 2, path: `${dir}//a/./b/` })).json).toMatchObject({ path: `${dir}/a/b` });
  // without a folder of its own, the engine chooses where
  const other = await running({ checkpoint: {} });
  expect((await other.commit({ step: 1, path: `/var/area/${other.job}/attempt-${other.incarnation}-1/step` })).status).toBe(201);
  expect((await other.commit({ step: 1, path: "/var/area/step" })).status).toBe(422);
});

test("an old attempt commits nothing, whatever it holds", async () => {
  const { job, dir, incarnation, commit } = await running();
  await endAttempt(t.pool, job);
  expect((await commit({ step: 1, path: `${dir}/a` })).json).toMatchObject({ status: 409, code: "stale_attempt" });
  await startAttempt(t.pool, job, "n0", 2);
  expect((await commit({ step: 1, path: `${dir}/a` })).json).toMatchObject({ status: 409, code: "stale_attempt" });
  const second = makeAttemptToken(secret, { job, incarnation, attempt: 2 });
  expect((await commit({ step: 1, path: `/ckpt/${job}/attempt-${incarnation}-2/a` }, second)).status).toBe(201);
  // a newer incarnation leaves all tokens of the older one behind
  await t.pool.query("UPDATE jobs SET incarnation = incarnation + 1, attempt = 2 WHERE id = $1", [job]);
  expect((await commit({ step: 2, path: `/ckpt/${job}/attempt-${incarnation}-2/a` }, second)).json).toMatchObject({ code: "stale_attempt" });
});

test("an older generation of the attempt is refused", async () => {
  const { dir, commit } = await running();
  expect((await commit({ step: 1, path: `${dir}/a`, generation: 1 })).status).toBe(201);
  expect((await commit({ step: 2, path: `${dir}/b`, generation: 0 })).json).toMatchObject({ status: 409, code: "older_generation" });
  // what it committed before is still answered
  expect((await commit({ step: 1, path: `${dir}/a`, generation: 1 })).status).toBe(200);
});

test("only the attempt's own token is taken, and for nothing else", async () => {
  const [one, two] = [await running(), await running({}, "n1")];
  expect((await two.commit({ step: 1, path: `${two.dir}/a` }, one.token)).json).toMatchObject({ status: 403 });
  for (const token of [
    t.admin,
    `${one.token}x`,
    one.token.replace(/^mua_./, "mua_A"),
    makeAttemptToken(Buffer.from("another"), { job: one.job, incarnation: one.incarnation, attempt: 1 }),
  ]) {
    expect((await one.commit({ step: 1, path: `${one.dir}/a` }, token)).status).toBe(401);
  }
  expect((await t.call("GET", `/v1/jobs/${one.job}`, { token: one.token })).status).toBe(401);
});

test("of two commits at once the newer generation's wins for good", async () => {
  const { job, dir, commit } = await running();
  await Promise.all(Array.from({ length: 20 }, (_, index) => commit({ step: index, path: `${dir}/${index}`, generation: index % 4 })));
  const { rows } = await t.pool.query<{ generation: number }>("SELECT generation FROM checkpoints WHERE job = $1 ORDER BY id", [job]);
  const generations = rows.map((row) => row.generation);
  expect(generations).toEqual([...generations].sort((a, b) => a - b));
  expect(generations.at(-1)).toBe(3);
});
