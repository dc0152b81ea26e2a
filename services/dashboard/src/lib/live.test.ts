import { describe, expect, test } from "vitest";
import { fitColumns, tracksOf } from "./columns.ts";
import { freshnessOf, reconnectDelay } from "./freshness.ts";
import { holdRows } from "./rows.ts";
import { KeyGatherer, staleKeys } from "./stale-keys.ts";

const event = { kind: "job.queued", job: null, node: null, queue: null, pool: null };

describe("what an event makes old", () => {
  test("is its own job and the lists it stands in", () => {
    const keys = staleKeys({ ...event, kind: "job.scheduled", job: "job_1" });
    expect(keys).toEqual(expect.arrayContaining([["overview"], ["jobs"], ["job", "job_1"], ["nodes"], ["pools"]]));
    expect(keys).not.toContainEqual(["incidents"]);
  });
  test("is the node for a node's event, and no job", () => {
    const keys = staleKeys({ ...event, kind: "node.cordon", node: "n-1" });
    expect(keys).toEqual(expect.arrayContaining([["nodes"], ["node", "n-1"]]));
    expect(keys).not.toContainEqual(["jobs"]);
  });
  test("is gathered once, the wider key covering the narrower", () => {
    const gatherer = new KeyGatherer();
    gatherer.add([["node", "n-1"], ["jobs"]]);
    gatherer.add([["node"], ["jobs"]]);
    expect(gatherer.take()).toEqual([["jobs"], ["node"]]);
    expect(gatherer.take()).toEqual([]);
  });
});

test("silence turns amber, then red; a hidden tab is paused", () => {
  expect([1000, 25_000, 90_000].map((silence) => freshnessOf("live", 0, silence))).toEqual(["live", "stale", "old"]);
  expect(freshnessOf("paused", 0, 90_000)).toBe("paused");
});

test("reconnecting waits longer each time, up to 15 s, never all at once", () => {
  expect(reconnectDelay(0, 1)).toBe(500);
  expect(reconnectDelay(3, 0)).toBe(2000);
  expect(reconnectDelay(50, 1)).toBe(15_000);
});

describe("rows of a live list", () => {
  const id = (row: { id: string }): string => row.id;
  test("change in place, and neither move nor vanish", () => {
    const held = holdRows(
      [
        { id: "a", n: 1 },
        { id: "b", n: 1 },
      ],
      [
        { id: "c", n: 9 },
        { id: "b", n: 2 },
      ],
      id,
    );
    expect(held.rows).toEqual([
      { id: "a", n: 1 },
      { id: "b", n: 2 },
    ]);
    expect(held.fresh).toBe(1);
    expect([...held.gone]).toEqual(["a"]);
  });
});

describe("columns", () => {
  const columns = [
    { id: "state", min: 100, tight: 60 },
    { id: "name", min: 100, grow: 2 },
    { id: "queue", min: 50, yields: 2 },
    { id: "age", min: 50, yields: 1 },
  ];
  test("yield from the least important on", () => {
    expect(fitColumns(columns, 1000, 10, 0).map((column) => column.id)).toEqual(["state", "name", "queue", "age"]);
    expect(fitColumns(columns, 300, 10, 0).map((column) => column.id)).toEqual(["state", "name", "age"]);
    expect(fitColumns(columns, 215, 10, 0).map((column) => column.id)).toEqual(["state", "name"]);
  });
  test("get tight before they stick out", () => expect(tracksOf(fitColumns(columns, 180, 10, 0))).toBe("60px minmax(100px, 2fr)"));
});
