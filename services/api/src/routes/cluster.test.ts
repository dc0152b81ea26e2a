import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ClusterView, PutSettingsView } from "@muster/model";
import { testApi, type TestApi } from "../testing/test-api.ts";

let t: TestApi;
beforeAll(async () => {
  t = await testApi();
});
afterAll(() => t.close());

const cluster = async () => (await t.call("GET", "/v1/cluster")).json as ClusterView;
const put = (body: unknown, { query = "", ...headers }: Record<string, string> = {}) => t.call("PUT", `/v1/cluster/settings${query}`, { body, headers });
const events = async (kind: string) =>
  (await t.pool.query<{ actor: string; data: unknown }>("SELECT actor, data FROM events WHERE kind = $1 ORDER BY seq", [kind])).rows;

describe("settings", () => {
  beforeEach(() => put({}));

  test("show what holds where nothing was put, and what was put beside it", async () => {
    expect(await cluster()).toMatchObject({
      starts_paused: false,
      starts_paused_reason: null,
      brake: null,
      declared: {},
      settings: {
        placement: { protected_runtime: 300, reclaim: "fair_share", backfill: "dated", consolidation: true, max_cross_zone_jobs: null },
        priorities: { low: -100, normal: 0, high: 100, critical: 1000 },
        retention: { jobs: 180 * 86_400, events: 90 * 86_400, logs: 180 * 86_400, logs_total: null },
        silence: { suspect_after: 20, lost_after: 25, brake_fraction: 0.2, brake_nodes: 5, brake_release: 600 },
      },
    });
    await put({ placement: { protected_runtime: "10m" }, retention: { logs_total: "1Gi" }, priorities: { normal: 5, urgent: 500 } });
    expect(await cluster()).toMatchObject({
      declared: { placement: { protected_runtime: 600 }, retention: { logs_total: 2 ** 30 }, priorities: { normal: 5, urgent: 500 } },
      settings: { placement: { protected_runtime: 600, backfill: "dated" }, priorities: { low: -100, normal: 5, high: 100, critical: 1000, urgent: 500 } },
    });
  });

  test("what is shown can be put, and changes nothing", async () => {
    await put({ silence: { lost_after: "2m" } });
    const before = await cluster();
    const all = (await put(before.settings)).json as PutSettingsView;
    expect(all.changes).toEqual([]);
    expect(all.settings).toEqual(before.settings);
    const again = (await put(before.settings)).json as PutSettingsView;
    expect(again.version).toBe(all.version);
  });

  test("a change is one version, one event with its actor, and says what differs", async () => {
    const { version } = await cluster();
    const logged = (await events("cluster.settings_changed")).length;
    const changed = await put({ placement: { backfill: "greedy" }, priorities: { urgent: 500 } }, { "if-match": `"${version}"` });
    const changes = [
      { path: "placement.backfill", from: "dated", to: "greedy" },
      { path: "priorities.urgent", to: 500 },
    ];
    expect(changed.json).toMatchObject({ version: version + 1, changes });
    expect(changed.headers["etag"]).toBe(`"${version + 1}"`);
    expect((await events("cluster.settings_changed")).slice(logged)).toEqual([{ actor: "admin-all", data: { changes } }]);
    expect(((await put({})).json as PutSettingsView).changes).toEqual([
      { path: "placement.backfill", from: "greedy", to: "dated" },
      { path: "priorities.urgent", from: 500 },
    ]);
  });

  test("a dry run says what would change, and changes nothing", async () => {
    const before = await cluster();
    const logged = await events("cluster.settings_changed");
    const dry = await put({ placement: { consolidation: false } }, { query: "?dry_run=true" });
    expect(dry.json).toMatchObject({
      version: before.version + 1,
      changes: [{ path: "placement.consolidation", from: true, to: false }],
      settings: { placement: { consolidation: false } },
    });
    expect(await cluster()).toEqual(before);
    expect(await events("cluster.settings_changed")).toEqual(logged);
  });

  test("If-Match guards a change", async () => {
    const { version } = await cluster();
    expect((await put({ placement: {} }, { "if-match": `"${version + 7}"` })).json).toMatchObject({ status: 412, code: "version_mismatch", version });
    expect((await cluster()).declared).toEqual({});
  });

  test.each([
    [{ placement: { backfil: "dated" } }, "placement.backfil", "did you mean backfill"],
    [{ placement: { reservations: -1 } }, "placement.reservations", ">=0"],
    [{ placement: { protected_runtime: "soon" } }, "placement.protected_runtime", "expected a duration"],
    [{ priorities: { "Not A Name": 1 } }, "priorities", ""],
    [{ priorities: { fine: 1.5 } }, "priorities.fine", ""],
    [{ retention: { jobs: "1h" } }, "retention.jobs", "expected at least 1d"],
    [{ silence: { lost_after: "15s" } }, "silence.lost_after", "expected at least silence.suspect_after"],
    [{ silence: { suspect_after: "1m" } }, "silence.lost_after", "expected at least silence.suspect_after"],
    [{ silence: { suspect_after: 1 } }, "silence.suspect_after", "10s"],
  ])("%j is refused with its field", async (body, path, message) => {
    const answer = (await put(body)).json as { status: number; errors: { path: string; message: string }[] };
    expect(answer.status).toBe(422);
    expect(answer.errors[0]?.path).toContain(path);
    expect(answer.errors[0]?.message).toContain(message);
    expect((await cluster()).declared).toEqual({});
  });

  test("a new priority class can be used at once, one that is gone can't, and jobs keep their number", async () => {
    const submit = () => t.call("POST", "/v1/jobs", { body: { name: "p", run: ["true"], priority: "urgent" } });
    expect((await submit()).json).toMatchObject({ status: 422, code: "unknown_priority" });
    await put({ priorities: { urgent: 500 } });
    const { id } = (await submit()).json as { id: string };
    await put({});
    expect((await submit()).json).toMatchObject({ code: "unknown_priority" });
    expect((await t.pool.query("SELECT priority FROM jobs WHERE id = $1", [id])).rows).toEqual([{ priority: 500 }]);
  });

  test("what an older or newer version stored and this one doesn't understand is taken as absent", async () => {
    await t.pool.query("UPDATE cluster SET settings = $1", [{ placement: { warp: true }, retention: { jobs: "30d" }, teleport: 1 }]);
    expect(await cluster()).toMatchObject({ declared: { retention: { jobs: 30 * 86_400 } }, settings: { placement: { backfill: "dated" } } });
  });
});

test("a new incarnation is greater, pauses starts until shards have reported, and tells by whom and why", async () => {
  const before = await cluster();
  expect((await t.call("POST", "/v1/cluster/new-incarnation", { body: {} })).json).toMatchObject({ status: 422, errors: [{ path: "reason" }] });
  const after = (await t.call("POST", "/v1/cluster/new-incarnation", { body: { reason: "restored last night's backup" } })).json as ClusterView;
  expect(BigInt(after.incarnation)).toBeGreaterThan(BigInt(before.incarnation));
  expect(after).toMatchObject({ starts_paused: true, starts_paused_reason: "restored last night's backup" });
  expect(await events("cluster.new_incarnation")).toEqual([
    { actor: "admin-all", data: { incarnation: after.incarnation, reason: "restored last night's backup" } },
  ]);
  expect((await t.pool.query("SELECT must_report FROM cluster")).rows).toEqual([{ must_report: true }]);
});

test("the brake on declaring nodes lost is shown, and lifted once", async () => {
  const lift = () => t.call("POST", "/v1/cluster/lift-brake", { body: { reason: "the switch is being replaced" } });
  expect((await lift()).json).toMatchObject({ status: 409, code: "wrong_state" });
  await t.pool.query("INSERT INTO incidents (id, kind, action) VALUES ('inc_1', 'mass_silence', 'no node is declared lost')");
  expect((await cluster()).brake).toEqual({ incident: "inc_1", since: expect.any(String) });
  expect((await lift()).json).toMatchObject({ brake: null });
  expect((await t.call("GET", "/v1/incidents")).json).toMatchObject({
    items: [{ id: "inc_1", closed_at: expect.any(String), action: "no node is declared lost; lifted by admin-all: the switch is being replaced" }],
  });
  expect(await events("cluster.mass_silence_over")).toMatchObject([{ actor: "admin-all", data: { incident: "inc_1" } }]);
  expect((await lift()).json).toMatchObject({ status: 409 });
});
