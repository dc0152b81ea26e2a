import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testApi, type Answer, type TestApi } from "../testing/test-api.ts";

let t: TestApi;
beforeAll(async () => {
  t = await testApi();
});
afterAll(() => t.close());

const spec = { name: "train", run: ["true"] };
const key = (value: string) => ({ headers: { "idempotency-key": value } });
const idOf = (answer: Answer): string => (answer.json as { id: string }).id;
const itemsOf = (answer: Answer): { id: string; name: string; state: string; wait_reason: string; array: { id: string; index: number } | null }[] =>
  (answer.json as { items: never[] }).items;
async function count(table: string): Promise<number> {
  return (await t.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`)).rows[0]?.n ?? -1;
}

describe("idempotency", () => {
  test("the same key and body give the same answer, another body is refused", async () => {
    const first = await t.call("POST", "/v1/jobs", { body: spec, ...key("a") });
    const again = await t.call("POST", "/v1/jobs", { body: spec, ...key("a") });
    expect(again.status).toBe(201);
    expect(again.headers["idempotent-replayed"]).toBe("true");
    expect(first.headers["idempotent-replayed"]).toBeUndefined();
    expect(again.json).toEqual(first.json);
    expect((await t.call("POST", "/v1/jobs", { body: { ...spec, name: "other" }, ...key("a") })).json).toMatchObject({
      status: 422,
      code: "idempotency_key_reused",
    });
    expect((await t.call("POST", "/v1/jobs?hold=true", { body: spec, ...key("a") })).json).toMatchObject({ code: "idempotency_key_reused" });
  });

  test("a key belongs to who used it", async () => {
    const first = await t.call("POST", "/v1/jobs", { body: spec, ...key("b") });
    const other = await t.call("POST", "/v1/jobs", { body: spec, ...key("b"), token: await t.token("admin", null, "someone-else") });
    expect(idOf(other)).not.toBe(idOf(first));
  });

  test("many at once with one key make one job", async () => {
    const before = await count("jobs");
    const answers = await Promise.all(Array.from({ length: 20 }, () => t.call("POST", "/v1/jobs", { body: spec, ...key("c") })));
    expect(new Set(answers.map((answer) => idOf(answer))).size).toBe(1);
    expect(answers.filter((answer) => answer.headers["idempotent-replayed"] === undefined)).toHaveLength(1);
    expect(await count("jobs")).toBe(before + 1);
  });

  test("what was accepted is answered the same though it would be refused by now", async () => {
    await t.call("PUT", "/v1/queues/brief", { body: { name: "brief", projects: ["*"] } });
    const body = { ...spec, queue: "brief" };
    const first = await t.call("POST", "/v1/jobs", { body, ...key("d") });
    await t.call("PUT", "/v1/queues/brief", { body: { name: "brief", projects: [] } });
    expect((await t.call("POST", "/v1/jobs", { body })).json).toMatchObject({ code: "queue_not_allowed" });
    const again = await t.call("POST", "/v1/jobs", { body, ...key("d") });
    expect([again.status, idOf(again)]).toEqual([201, idOf(first)]);
  });
});

test("submissions that come together are committed together, and a bad one harms none", async () => {
  await t.call("PUT", "/v1/queues/gone", { body: { name: "gone", projects: ["*"] } });
  await t.call("POST", "/v1/jobs/plan", { body: { ...spec, queue: "gone" } });
  // behind the API's back, so that only the database finds out
  await t.pool.query("DELETE FROM queues WHERE name = 'gone'");
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, index) => t.call("POST", "/v1/jobs", { body: index === 15 ? { ...spec, queue: "gone" } : { ...spec, name: `n${index}` } })),
  );
  expect(answers.filter((answer) => answer.status === 201)).toHaveLength(29);
  expect(answers[15]?.json).toMatchObject({ status: 422, code: "unknown_queue" });
  const { rows } = await t.pool.query<{ jobs: number; specs: number; events: number }>(
    "SELECT (SELECT count(*)::int FROM jobs) AS jobs, (SELECT count(*)::int FROM job_specs) AS specs, (SELECT count(*)::int FROM events WHERE kind = 'job.submitted') AS events",
  );
  expect(rows[0]).toEqual({ jobs: rows[0]?.jobs, specs: rows[0]?.jobs, events: rows[0]?.jobs });
});

test("YAML and JSON are the same", async () => {
  const yaml = await t.call("POST", "/v1/jobs", { body: "name: train\nrun: [python3, train.py]\nlabels: &l {a: b}\ntime_limit: 5m\n" });
  expect(yaml.status, yaml.text).toBe(201);
  expect((await t.call("GET", `/v1/jobs/${idOf(yaml)}/spec?view=submitted`)).json).toEqual({
    name: "train",
    run: ["python3", "train.py"],
    labels: { a: "b" },
    time_limit: "5m",
  });
  expect((await t.call("GET", `/v1/jobs/${idOf(yaml)}/spec`)).json).toMatchObject({ time_limit: 300, variants: [{ index: 0 }] });
  expect((await t.call("POST", "/v1/jobs", { body: "name: [\n" })).json).toMatchObject({ status: 400, code: "malformed_body" });
  expect(
    (
      await t.call("POST", "/v1/jobs", {
        body: "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
      })
    ).json,
  ).toMatchObject({ status: 400, code: "malformed_body" });
  expect((await t.call("POST", "/v1/jobs", { body: "name: x\nname: y\n" })).json).toMatchObject({ code: "malformed_body" });
});

test("an array is one job for each element", async () => {
  const made = await t.call("POST", "/v1/jobs", { body: { ...spec, name: "sweep", array: { count: 700, limit: 3 } } });
  expect(made.status, made.text).toBe(201);
  expect(made.json).toMatchObject({ array: { id: idOf(made), index: 0 } });
  const all = itemsOf(await t.call("GET", `/v1/jobs?array=${idOf(made)}&sort=submitted_at&limit=500`));
  expect(all.map((job) => job.array?.index)).toEqual(Array.from({ length: 500 }, (_, index) => index));
  expect(((await t.call("GET", `/v1/jobs/summary?array=${idOf(made)}`)).json as { groups: { jobs: number }[] }).groups).toMatchObject([{ jobs: 700 }]);
  expect((await t.call("GET", `/v1/jobs/${all[7]?.id}/spec?view=submitted`)).json).toMatchObject({ name: "sweep", array: { count: 700 } });
});

test("?hold=true and start_after keep a job from starting", async () => {
  expect((await t.call("POST", "/v1/jobs?hold=true", { body: spec })).json).toMatchObject({ state: "held", wait_reason: "held" });
  expect((await t.call("POST", "/v1/jobs", { body: { ...spec, start_after: "2100-01-01T00:00:00Z" } })).json).toMatchObject({
    state: "queued",
    not_before: "2100-01-01T00:00:00.000Z",
  });
});

describe("dependencies", () => {
  test("by id, by the newest of a name, and on every element of an array", async () => {
    const old = await t.call("POST", "/v1/jobs", { body: { ...spec, name: "base" } });
    const base = await t.call("POST", "/v1/jobs", { body: { ...spec, name: "base" } });
    const next = await t.call("POST", "/v1/jobs", { body: { ...spec, name: "next", after: [{ job: "base" }, { job: idOf(old), on: "finished" }] } });
    expect(next.json).toMatchObject({ state: "queued", wait_reason: "dependency" });
    const { rows } = await t.pool.query("SELECT on_job, condition, state FROM job_dependencies WHERE job = $1 ORDER BY on_job", [idOf(next)]);
    expect(rows).toEqual([
      { on_job: idOf(old), condition: "finished", state: "open" },
      { on_job: idOf(base), condition: "succeeded", state: "open" },
    ]);
    await t.call("POST", "/v1/jobs", { body: { ...spec, name: "many", array: { count: 5 } } });
    const after = await t.call("POST", "/v1/jobs", { body: { ...spec, name: "after-many", after: [{ job: "many" }] } });
    expect((await t.pool.query("SELECT unmet_dependencies FROM jobs WHERE id = $1", [idOf(after)])).rows).toEqual([{ unmet_dependencies: 5 }]);
  });

  test("what has happened already counts", async () => {
    const done = await t.call("POST", "/v1/jobs", { body: { ...spec, name: "done" } });
    await t.call("POST", `/v1/jobs/${idOf(done)}/cancel`);
    const met = await t.call("POST", "/v1/jobs", { body: { ...spec, after: [{ job: "done", on: "finished" }] } });
    expect(met.json).toMatchObject({ wait_reason: "pending_evaluation" });
    const never = await t.call("POST", "/v1/jobs", { body: { ...spec, after: [{ job: "done" }] } });
    expect((await t.pool.query("SELECT state FROM job_dependencies WHERE job = $1", [idOf(never)])).rows).toEqual([{ state: "never" }]);
  });

  test("what does not exist, or belongs to another project, is refused", async () => {
    const foreign = await t.call("POST", "/v1/jobs", { body: { ...spec, name: "foreign", project: "other" } });
    for (const job of ["nothing-of-that-name", "foreign", idOf(foreign)]) {
      expect((await t.call("POST", "/v1/jobs", { body: { ...spec, after: [{ job }] } })).json).toMatchObject({
        status: 422,
        code: "unknown_dependency",
        errors: [{ path: "after[0].job" }],
      });
    }
  });

  test("a batch may wait for its own jobs, but not in a circle", async () => {
    const made = await t.call("POST", "/v1/jobs/batch", {
      body: {
        jobs: [
          { ...spec, name: "second", after: [{ job: "first" }] },
          { ...spec, name: "first" },
        ],
      },
    });
    expect(made.status, made.text).toBe(201);
    expect(itemsOf(made).map((job) => [job.name, job.wait_reason])).toEqual([
      ["second", "dependency"],
      ["first", "pending_evaluation"],
    ]);
    const before = await count("jobs");
    const circle = await t.call("POST", "/v1/jobs/batch", {
      body: {
        jobs: [
          { ...spec, name: "a", after: [{ job: "b" }] },
          { ...spec, name: "b", after: [{ job: "c" }] },
          { ...spec, name: "c", after: [{ job: "a" }] },
        ],
      },
    });
    expect(circle.json).toMatchObject({
      status: 422,
      code: "dependency_cycle",
      errors: [{ path: "jobs[2].after[0].job", message: expect.stringContaining("a waits for b waits for c waits for a") }],
    });
    expect((await t.call("POST", "/v1/jobs", { body: { ...spec, name: "self", after: [{ job: "self" }] } })).json).toMatchObject({
      status: 422,
      errors: [{ path: "after[0].job" }],
    });
    expect((await t.call("POST", "/v1/jobs/batch", { body: { jobs: [spec, { name: "bad" }] } })).json).toMatchObject({
      status: 422,
      errors: [{ path: "jobs[1].run" }],
    });
    expect(await count("jobs")).toBe(before);
  });
});

describe("what the cluster does not know is refused, with the field", () => {
  test.each([
    [{ project: "nowhere" }, "unknown_project", "project"],
    [{ queue: "nowhere" }, "unknown_queue", "queue"],
    [{ queue: "private" }, "queue_not_allowed", "queue"],
    [{ priority: "urgent" }, "unknown_priority", "priority"],
    [{ resources: { accelerators: 9 } }, "never_fits", undefined],
    [{ accelerator: "h900", resources: { accelerators: 1 } }, "never_fits", undefined],
    [{ nodes: 5, resources: { accelerators: 8 } }, "never_fits", undefined],
    [{ nodes: 4, resources: { accelerators: 8 }, topology: { job: { within: "leaf" } } }, "never_fits", undefined],
    [{ source: { dir: "/nowhere/at/all" } }, "source_unavailable", "source.dir"],
    [{ source: { git: "ext::sh -c true" } }, "source_unavailable", "source.git"],
    [{ source: { git: "file:///etc" } }, "source_unavailable", "source.git"],
  ])("%j", async (more, code, path) => {
    const answer = await t.call("POST", "/v1/jobs", { body: { ...spec, ...more } });
    expect(answer.json).toMatchObject({ status: 422, code, errors: [path === undefined ? {} : { path }] });
  });

  test("a job among several is named by its place", async () => {
    const source = { git: "file:///etc" };
    const answer = await t.call("POST", "/v1/jobs/batch", { body: { jobs: [spec, { ...spec, source }, { ...spec, source }] } });
    expect(answer.json).toMatchObject({ code: "source_unavailable", errors: [{ path: "jobs[1].source.git" }] });
  });

  test("allow_unfit waits for nodes that are not there yet", async () => {
    expect((await t.call("POST", "/v1/jobs", { body: { ...spec, nodes: 500, resources: { accelerators: 8 }, allow_unfit: true } })).status).toBe(201);
  });

  test("a queue is known as soon as another server has put it", async () => {
    await t.call("POST", "/v1/jobs", { body: spec });
    await t.pool.query("INSERT INTO queues (name, projects) VALUES ('fresh', '{*}')");
    expect((await t.call("POST", "/v1/jobs", { body: { ...spec, queue: "fresh" } })).status).toBe(201);
  });
});

test("a git source is resolved to the commit of that moment", async () => {
  const folder = mkdtempSync(join(tmpdir(), "muster-git-"));
  const git = (...words: string[]): string =>
    execFileSync("git", ["-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main", ...words], {
      encoding: "utf8",
    }).trim();
  const local = await testApi({}, { gitProtocols: ["file"] });
  try {
    git("init", "-q");
    git("commit", "-q", "--allow-empty", "-m", "one");
    git("tag", "-a", "v1", "-m", "one");
    const one = git("rev-parse", "HEAD");
    git("commit", "-q", "--allow-empty", "-m", "two");
    const two = git("rev-parse", "HEAD");
    for (const [ref, commit] of [
      ["main", two],
      ["v1", one],
      [undefined, two],
      [one, one],
    ] as const) {
      const made = await local.call("POST", "/v1/jobs", { body: { ...spec, source: { git: `file://${folder}`, ...(ref !== undefined && { ref }) } } });
      expect(made.status, made.text).toBe(201);
      expect((await local.pool.query("SELECT source_commit FROM job_specs WHERE job = $1", [idOf(made)])).rows).toEqual([{ source_commit: commit }]);
    }
    expect((await local.call("POST", "/v1/jobs", { body: { ...spec, source: { git: `file://${folder}`, ref: "gone" } } })).json).toMatchObject({
      code: "source_unavailable",
      errors: [{ path: "source.ref" }],
    });
  } finally {
    await local.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a priority changes only at the version that was read", async () => {
  const made = await t.call("POST", "/v1/jobs", { body: spec });
  const path = `/v1/jobs/${idOf(made)}`;
  expect((await t.call("PATCH", path, { body: { priority: "high" } })).json).toMatchObject({ status: 428, code: "version_required" });
  expect((await t.call("PATCH", path, { body: { priority: "high" }, headers: { "if-match": '"7"' } })).json).toMatchObject({
    status: 412,
    code: "version_mismatch",
    version: 1,
  });
  const changed = await t.call("PATCH", path, { body: { priority: "high" }, headers: { "if-match": '"1"' } });
  expect(changed.json).toMatchObject({ priority: "high", version: 2 });
  expect(changed.headers["etag"]).toBe('"2"');
  expect((await t.call("PATCH", path, { body: { priority: "urgent" }, headers: { "if-match": '"2"' } })).json).toMatchObject({ code: "unknown_priority" });
});
