import { FakeServer, fakeProblem, sampleCluster } from "@muster/client/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parse } from "yaml";
import { run } from "./testing/run.ts";

let server: FakeServer;
beforeEach(async () => {
  server = await new FakeServer().start();
});
afterEach(() => server.stop());

const cli = (args: string[], stdin = "") => run(args, { url: server.url, stdin });

test("the cluster is shown with every setting, in the units that settings take, and what was put is marked", async () => {
  server.on(
    "GET /v1/cluster",
    sampleCluster({ starts_paused: true, starts_paused_reason: "restored", brake: { incident: "inc_1", since: "2026-03-01T10:00:00.000Z" } }),
  );
  const { code, out } = await cli(["cluster", "get"]);
  expect(code).toBe(0);
  const told = new Map(out.split("\n").map((line) => line.split(/ {2,}/) as [string, string]));
  expect([...told.keys()]).toEqual(expect.arrayContaining(["cluster", "incarnation", "placement.backfill", "priorities.critical"]));
  expect(told.get("starts")).toBe("paused: restored");
  expect(told.get("brake")).toBe("on for 5m00s, see muster incidents --open (inc_1)");
  expect(told.get("placement.protected_runtime")).toBe("10m *");
  expect(told.get("placement.max_cross_zone_jobs")).toBe("no limit");
  expect(told.get("retention.jobs")).toBe("180d");
  expect(told.get("retention.logs_total")).toBe("1Ti *");
  expect(told.get("silence.lost_after")).toBe("90s *");
  expect(told.get("rules.our-fabric")).toBe('{"match":{"log":"link down"},"action":"exclude_node"} *');
});

test("what --settings prints can be put again", async () => {
  server.on("GET /v1/cluster", sampleCluster());
  server.on("PUT /v1/cluster/settings", { ...sampleCluster(), changes: [] });
  const { out } = await cli(["cluster", "get", "--settings"]);
  expect(parse(out)).toEqual(sampleCluster().declared);
  expect(await cli(["cluster", "set", "-f", "-"], out)).toMatchObject({ code: 0, out: "unchanged\n" });
  expect(server.seen("PUT", "/v1/cluster/settings")[0]?.body).toEqual(sampleCluster().declared);
});

test("a dry run tells what would change", async () => {
  const changes = [
    { path: "retention.jobs", from: 15_552_000, to: 2_592_000 },
    { path: "priorities.urgent", to: 500 },
    { path: "placement.max_cross_zone_jobs", from: null, to: 2 },
  ];
  server.on("PUT /v1/cluster/settings", { ...sampleCluster(), changes });
  const { code, out } = await cli(["cluster", "set", "-f", "-", "--dry-run"], "retention: {jobs: 30d}\npriorities: {urgent: 500}\n");
  expect({ code, out }).toEqual({
    code: 0,
    out: "retention.jobs: 180d -> 30d (dry run)\npriorities.urgent: nothing -> 500 (dry run)\nplacement.max_cross_zone_jobs: no limit -> 2 (dry run)\n",
  });
  expect(server.requests[0]?.query.get("dry_run")).toBe("true");
});

test.each([
  ["placement: {backfil: dated}\n", "placement.backfil: unknown field; did you mean backfill?"],
  ["retention: {jobs: 1h}\n", "retention.jobs: expected at least 1d"],
  ["a: 1\n---\nb: 2\n", "2 documents"],
])("settings %j are refused before they are sent", async (text, message) => {
  expect(await cli(["cluster", "set", "-f", "-"], text)).toMatchObject({ code: 2, out: "", err: expect.stringContaining(message) });
  expect(server.requests).toEqual([]);
});

test("a new incarnation needs a reason, and tells what follows", async () => {
  server.on("POST /v1/cluster/new-incarnation", sampleCluster({ incarnation: "1900000000000000", starts_paused: true, starts_paused_reason: "restored" }));
  expect(await cli(["admin", "new-incarnation", "-y"])).toMatchObject({ code: 2, err: expect.stringContaining("--reason") });
  const { code, out } = await cli(["admin", "new-incarnation", "-y", "--reason", "restored"]);
  expect({ code, out }).toEqual({ code: 0, out: "incarnation 1900000000000000; starts are paused until every engine has reported\n" });
  expect(server.requests.map((request) => request.body)).toEqual([{ reason: "restored" }]);
});

test("a brake that isn't on can't be lifted", async () => {
  server.on("POST /v1/cluster/lift-brake", () => ({ status: 409, body: fakeProblem(409, "wrong_state", "The brake is not on") }));
  expect(await cli(["admin", "lift-brake"])).toMatchObject({ code: 5, out: "", err: expect.stringContaining("The brake is not on") });
  server.on("POST /v1/cluster/lift-brake", sampleCluster());
  expect(await cli(["admin", "lift-brake", "--reason", "switch replaced"])).toMatchObject({ code: 0, out: "the brake is off\n" });
});
