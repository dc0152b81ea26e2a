import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { clusterOf, ControlPlane } from "../support/control-plane.ts";
import { doubles, isAlive, processesOf } from "../support/processes.ts";

let plane: ControlPlane;

beforeAll(async () => {
  plane = new ControlPlane({ cluster: clusterOf({ h800: 2, h20: 1 }) });
  await plane.start();
}, 120_000);
afterAll(() => plane.close(), 60_000);

const file = (name: string): string => join(plane.dir, name);
/** Prints numbered lines until a file is there, then ends with a code. */
const counts = (name: string, code = 0): string[] => [
  "sh",
  "-c",
  `i=0; until [ -e ${file(name)} ] || [ $i = 6000 ]; do i=$((i+1)); echo line $i; sleep 0.05; done; echo last $i; exit ${code}`,
];

async function logOf(id: string, attempt: number, worker: string): Promise<string> {
  const { status, body } = await plane.request("GET", `/v1/jobs/${id}/logs?attempt=${attempt}&worker=${encodeURIComponent(worker)}&limit=1000000`);
  return status === 200 ? String(body) : `status ${status}`;
}

/** All lines in order and none twice. */
function isWhole(log: string): boolean {
  const lines = log.trimEnd().split("\n");
  return lines.length > 1 && lines.every((line, index) => line === (index === lines.length - 1 ? `last ${index}` : `line ${index + 1}`));
}

it("SIGKILL of the whole control plane, database included: workers go on and are adopted with their exit codes and logs", async () => {
  const gang = await plane.submit({ nodes: 2, accelerator: "h800", resources: { accelerators: 8 }, run: counts("gang") });
  const fails = await plane.submit({ accelerator: "h20", resources: { accelerators: 1 }, run: counts("fails", 7), recovery: { max_restarts: 0 } });
  for (const { id } of [gang, fails]) await plane.untilState(id, "running");
  const workers = processesOf(gang.id);
  const failing = processesOf(fails.id);
  await plane.kill({ database: true });
  expect(workers.some(isAlive)).toBe(true);
  // one ends while nobody looks
  writeFileSync(file("fails"), "");
  await expect.poll(() => failing.some(isAlive), { timeout: 20_000 }).toBe(false);
  expect(processesOf(gang.id).length).toBeGreaterThanOrEqual(2);
  await plane.start();
  expect(await plane.untilState(fails.id, "failed", "succeeded")).toMatchObject({ state: "failed", attempt: 1, failure: { exit_code: 7 } });
  expect(await plane.job(gang.id)).toMatchObject({ state: "running", attempt: 1 });
  writeFileSync(file("gang"), "");
  expect(await plane.untilState(gang.id, "failed", "succeeded")).toMatchObject({ state: "succeeded", attempt: 1 });
  for (const rank of [0, 1]) await expect.poll(async () => isWhole(await logOf(gang.id, 1, `worker/${rank}`)), { timeout: 20_000 }).toBe(true);
  await expect.poll(async () => isWhole(await logOf(fails.id, 1, "worker/0")), { timeout: 20_000 }).toBe(true);
}, 180_000);

it("a backup restored under running jobs, twice: nothing runs doubly, what matches is adopted, each restore is an incarnation of its own", async () => {
  const seen: string[] = [];
  const jobs = new Set<string>();
  const watching = new AbortController();
  const watch = (async () => {
    while (!watching.signal.aborted) {
      seen.push(...doubles(jobs));
      await delay(30);
    }
  })();
  const incarnation = async (): Promise<string> => (await plane.query<{ incarnation: string }>("SELECT incarnation::text FROM cluster"))[0]?.incarnation ?? "";
  const whole = { accelerator: "h800", resources: { accelerators: 8 }, checkpoint: { grace: 1 } };
  const kept = await plane.submit({ ...whole, run: counts("end") });
  const gone = await plane.submit({ ...whole, run: counts("end") });
  for (const { id } of [kept, gone]) await plane.untilState(id, "running");
  for (const { id } of [kept, gone]) jobs.add(id);
  const next = await plane.submit({ ...whole, run: counts("end") });
  jobs.add(next.id);
  await plane.stop();
  const backup = plane.backUp();
  await plane.start();
  const first = await incarnation();
  // after the backup: one ends, the next one starts in its place, and one more appears
  await plane.request("POST", `/v1/jobs/${gone.id}/cancel`, {});
  await plane.untilState(next.id, "running");
  const later = await plane.submit({ accelerator: "h20", resources: { accelerators: 8 }, run: counts("end") });
  await plane.untilState(later.id, "running");
  jobs.add(later.id);

  const incarnations = [first];
  for (const round of [1, 2]) {
    await plane.kill({ database: true });
    plane.restore(backup);
    await plane.start();
    // neither the job that the backup doesn't know nor the start that it doesn't know lives on
    await expect.poll(() => processesOf(later.id), { timeout: 60_000 }).toEqual([]);
    // the place of those that are gone is taken by an attempt of the new incarnation
    const started = "SELECT FROM attempts a JOIN cluster c USING (incarnation) WHERE a.state = 'running' AND c.incarnation <> $1";
    await expect.poll(async () => (await plane.query(started, [first])).length, { timeout: 60_000 }).toBeGreaterThan(0);
    expect(await plane.job(kept.id)).toMatchObject({ state: "running", attempt: 1 });
    expect((await plane.request("GET", `/v1/jobs/${later.id}`)).status).toBe(404);
    const incidents = await plane.query("SELECT FROM incidents WHERE kind = 'restored_backup'");
    expect(incidents).toHaveLength(1);
    await expect
      .poll(async () => (await plane.query<{ starts_paused: boolean }>("SELECT starts_paused FROM cluster"))[0]?.starts_paused, { timeout: 30_000 })
      .toBe(false);
    incarnations.push(await incarnation());
    if (round === 1) continue;
    writeFileSync(file("end"), "");
    for (const { id } of [kept, gone, next]) expect(await plane.untilState(id, "succeeded", "failed", "cancelled")).toMatchObject({ state: "succeeded" });
  }
  expect(new Set(incarnations).size).toBe(3);
  watching.abort();
  await watch;
  expect(seen).toEqual([]);
}, 240_000);
