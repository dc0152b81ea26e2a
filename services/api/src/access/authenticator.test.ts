import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Pool } from "@muster/store";
import { testApi, type TestApi } from "../testing/test-api.ts";
import { Authenticator } from "./authenticator.ts";

let t: TestApi;
beforeAll(async () => {
  t = await testApi({ requests: 20 });
});
afterAll(() => t.close());

/** The same database, counting what it is asked. */
function counting(pool: Pool): { pool: Pool; asked: () => { all: number; atOnce: number } } {
  let [all, open, atOnce] = [0, 0, 0];
  const query = async (...words: Parameters<Pool["query"]>): Promise<unknown> => {
    all++;
    atOnce = Math.max(atOnce, ++open);
    try {
      return await (pool.query as (...words: unknown[]) => Promise<unknown>)(...words);
    } finally {
      open--;
    }
  };
  return { pool: { query } as unknown as Pool, asked: () => ({ all, atOnce }) };
}

const bearer = (token: string): string => `Bearer ${token}`;
const madeUp = (): string => bearer(`mus_${randomBytes(32).toString("base64url")}`);

test("made-up tokens by the thousand cost the database few questions, one at a time, and valid ones are served among them", async () => {
  const { pool, asked } = counting(t.pool);
  const authenticator = new Authenticator(pool);
  const valid = await Promise.all(Array.from({ length: 5 }, (_, i) => t.token("viewer", null, `valid-${i}`)));
  const refused = Array.from({ length: 12_000 }, () => authenticator.authenticate(madeUp()));
  const served = valid.map(async (token) => authenticator.authenticate(bearer(token)));
  expect((await Promise.allSettled(refused)).every(({ status }) => status === "rejected")).toBe(true);
  expect((await Promise.all(served)).map(({ subject }) => subject)).toEqual(valid.map((_, i) => `valid-${i}`));
  expect(asked().all).toBeLessThanOrEqual(14);
  expect(asked().atOnce).toBe(1);
});

test("a token that is unknown is not asked for again at once", async () => {
  const { pool, asked } = counting(t.pool);
  const authenticator = new Authenticator(pool);
  const header = madeUp();
  for (let i = 0; i < 50; i++) await expect(authenticator.authenticate(header)).rejects.toMatchObject({ code: "unauthenticated" });
  // more than once only where the machine stood still for so long
  expect(asked().all).toBeLessThan(10);
});

test("a database that is away fails those who ask, not who asks later", async () => {
  let away = true;
  const pool = {
    query: async (...words: unknown[]) => (away ? Promise.reject(new Error("away")) : (t.pool.query as (...words: unknown[]) => unknown)(...words)),
  };
  const authenticator = new Authenticator(pool as unknown as Pool);
  const asked = await Promise.allSettled(Array.from({ length: 20 }, () => authenticator.authenticate(bearer(t.admin))));
  expect(asked.map((one) => one.status === "rejected" && (one.reason as Error).message)).toEqual(Array.from({ length: 20 }, () => "away"));
  away = false;
  expect(await authenticator.authenticate(bearer(t.admin))).toMatchObject({ role: "admin" });
});

test("tokens that nobody has count against their address where no token is needed, and made-up ones of attempts are refused before their body is read", async () => {
  const answers = [];
  for (let i = 0; i < 22; i++) answers.push((await t.call("GET", "/healthz", { headers: { authorization: madeUp() } })).status);
  expect(answers).toEqual([...Array.from({ length: 20 }, () => 200), 429, 429]);
  expect((await t.call("GET", "/v1/me")).status).toBe(200);
  const refused = await t.api.app.inject({
    method: "POST",
    url: "/v1/jobs/job_x/checkpoints",
    headers: { authorization: "Bearer mua_x.y", "content-type": "application/json" },
    payload: "{",
  });
  expect(refused.json()).toMatchObject({ status: 401, code: "unauthenticated" });
});
