import { describe, expect, test } from "vitest";
import {
  jobFilters,
  jobQuery,
  parseEventSearch,
  parseJobPageSearch,
  parseJobSearch,
  parseNodeSearch,
  parseSearch,
  stringifySearch,
  toggleState,
  withFilter,
} from "./url-state.ts";

describe("search parameters", () => {
  test("read back what was written, with readable commas", () => {
    const search = { state: "queued,held", label: "team=a b&c", name: "47" };
    const text = stringifySearch(search);
    expect(text).toBe("?state=queued,held&label=team%3Da%20b%26c&name=47");
    expect(parseSearch(text)).toEqual(search);
  });
  test("leave out what is empty", () => expect(stringifySearch({ state: "", name: undefined, tab: null })).toBe(""));
});

describe("the jobs page", () => {
  test("keeps what it knows and drops the rest", () => {
    expect(parseJobSearch({ state: "running,flying,queued", reason: "because", name: " moe ", sort: "name", group: "queue", evil: "1" })).toEqual({
      state: "queued,running",
      name: "moe",
      group: "queue",
    });
  });

  test("turns states on and off, and goes back to the first page", () => {
    const on = toggleState({ state: "running", cursor: "abc", queue: "prod" }, "queued");
    expect(on).toEqual({ state: "queued,running", queue: "prod" });
    expect(toggleState(toggleState(on, "queued"), "running")).toEqual({ queue: "prod" });
  });

  test("removes a filter by an empty value", () =>
    expect(withFilter({ queue: "prod", reason: "held", cursor: "x" }, { queue: "" })).toEqual({ reason: "held" }));

  test("asks rows and counts by the same filters", () => {
    const search = parseJobSearch({ state: "queued", queue: "prod", sort: "submitted_at", cursor: "c", group: "reason" });
    expect(jobFilters(search).toString()).toBe("state=queued&queue=prod");
    expect(jobQuery(search, 200).toString()).toBe("state=queued&queue=prod&sort=submitted_at&cursor=c&limit=200");
  });
});

test("the job page reads tab, attempt and worker", () => {
  expect(parseJobPageSearch({ tab: "logs", attempt: "3", worker: "worker-0", view: "raw" })).toEqual({ tab: "logs", attempt: 3, worker: "worker-0" });
  expect(parseJobPageSearch({ tab: "nope", attempt: "-1" })).toEqual({});
  expect(parseJobPageSearch({ attempt: "1e99" })).toEqual({});
});

test("the node and event pages read their filters", () => {
  expect(parseNodeSearch({ pool: "h800", show: "free", health: "", name: "n" })).toEqual({ pool: "h800", show: "free", name: "n" });
  expect(parseNodeSearch({ show: "all" })).toEqual({});
  expect(parseEventSearch({ job: "job_1", kind: "job.", other: "x" })).toEqual({ job: "job_1", kind: "job." });
});
