import { makeId } from "@muster/model";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ensureCluster } from "../cluster.ts";
import { addUpFinished } from "../retention.ts";
import { testDatabase, type TestDatabase } from "../test-database.ts";
import { jobWhere, type JobFilter } from "./job-filter.ts";
import { SUMMARY_GROUPS, summarizeJobs, type SummaryGroup } from "./jobs.ts";

const STATES = ["queued", "held", "running", "succeeded", "failed", "cancelled"];
const FINAL = ["succeeded", "failed", "cancelled"];

let db: TestDatabase;

beforeAll(async () => {
  db = await testDatabase();
  const { incarnation } = await ensureCluster(db.pool);
  await db.pool.query("INSERT INTO projects (name) VALUES ('a'), ('b')");
  await db.pool.query("INSERT INTO queues (name) VALUES ('x'), ('y')");
  const jobs = Array.from({ length: 120 }, (_, i) => makeId("job", Date.now() + i, new Uint8Array(10)));
  await db.pool.query(
    `INSERT INTO jobs (id, project, queue, name, submitter, priority, priority_class, preemptible, nodes, devices, state, wait_reason, incarnation, submitted_at, finished_at)
      SELECT id, CASE WHEN n % 3 = 0 THEN 'a' ELSE 'b' END, CASE WHEN n % 2 = 0 THEN 'x' ELSE 'y' END, 'j' || n, 's' || n % 4, 0, 'p' || n % 5, true, 1, n, s, 'quota_exceeded', $2, now(),
        CASE WHEN s = ANY ($4) THEN now() END
      FROM unnest($1::text[]) WITH ORDINALITY AS k(id, n), LATERAL (SELECT ($3::text[])[1 + (n / 7) % 6] AS s) t`,
    [jobs, incarnation, STATES, FINAL],
  );
});
afterAll(() => db.drop());

const FILTERS: Omit<JobFilter, "visible">[] = [
  {},
  { active: true },
  { active: false },
  { queue: "x" },
  { project: "a", submitter: "s1" },
  { states: ["failed", "succeeded"] },
  { states: ["failed", "running"] },
  { states: ["running"] },
  { states: ["running"], active: false },
  { states: ["failed"], active: true },
  { namePrefix: "j1" },
  { reason: "quota_exceeded" },
];
const GROUPS: SummaryGroup[][] = [["state"], ["queue", "state"], ["project", "submitter", "priority"], ["reason"], []];

async function agrees(): Promise<void> {
  for (const [i, filter] of FILTERS.entries()) {
    for (const visible of [null, ["a"]]) {
      for (const by of [GROUPS[i % GROUPS.length] as SummaryGroup[], GROUPS[(i + 1) % GROUPS.length] as SummaryGroup[]]) {
        const { text, values } = jobWhere({ ...filter, visible });
        const columns = by.map((group) => `'${group}', ${SUMMARY_GROUPS[group]}`);
        const { rows } = await db.pool.query<{ key: object; jobs: number; devices: number }>(
          `SELECT jsonb_build_object(${columns.join(", ")}) AS key, count(*)::int AS jobs, coalesce(sum(devices), 0)::int AS devices FROM jobs j WHERE ${text} GROUP BY 1`,
          values,
        );
        const none = by.length === 0 && rows.length === 0 ? [{ key: {}, jobs: 0, devices: 0 }] : [];
        const told = await summarizeJobs(db.pool, { ...filter, visible }, by);
        expect({ filter, by, told: sorted(told) }).toEqual({ filter, by, told: sorted([...rows, ...none]) });
      }
    }
  }
}

function sorted(groups: readonly { key: object }[]): string[] {
  const text = (key: object): string => JSON.stringify(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1)));
  return groups.map(({ key, ...counts }) => `${text(key)} ${JSON.stringify(counts)}`).sort();
}

it("counts finished jobs as a look at each of them does, whatever happens to them", async () => {
  await agrees();
  await db.pool.query("UPDATE jobs SET state = 'failed', finished_at = now() WHERE state = 'running' AND devices % 2 = 0");
  await db.pool.query("UPDATE jobs SET version = version + 1");
  await agrees();
  await addUpFinished(db.pool);
  await db.pool.query("DELETE FROM jobs WHERE devices % 10 = 0");
  await agrees();
  await Promise.all([addUpFinished(db.pool), addUpFinished(db.pool)]);
  await agrees();
  await db.pool.query("DELETE FROM jobs");
  await addUpFinished(db.pool);
  expect((await db.pool.query("SELECT FROM finished_jobs")).rowCount).toBe(0);
});
