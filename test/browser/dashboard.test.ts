import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JobView, SubmittedJobSpec } from "@muster/model";
import { startStandalone, type Standalone } from "@muster/standalone";
import { pino } from "pino";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { buildDashboard, openBrowser } from "./browser.ts";

/** Milliseconds in which the page must show what happens; it fails with what it shows instead. */
const SOON = 30_000;

let dir: string;
let muster: Standalone;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** What the page threw; each test ends by finding none. */
const problems: string[] = [];

beforeAll(async () => {
  await buildDashboard();
  dir = mkdtempSync(join(tmpdir(), "muster-browser-"));
  chmodSync(dir, 0o755);
  muster = await startStandalone({
    stateDir: join(dir, "state"),
    port: 0,
    demoCluster: true,
    logger: pino({ level: process.env["MUSTER_TEST_LOG"] ?? "silent" }),
  });
  browser = await openBrowser();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await muster?.stop({ workers: "kill" });
  rmSync(dir, { recursive: true, force: true });
}, 60_000);

beforeEach(async () => {
  problems.length = 0;
  context = await browser.newContext({ viewport: { width: 1440, height: 900 }, timezoneId: "UTC" });
  context.setDefaultTimeout(SOON);
  page = await context.newPage();
  page.on("pageerror", (error) => problems.push(error.message));
});

afterEach(async () => {
  await context.close();
  if (problems.length > 0) throw new Error(`the page threw: ${problems.join("; ")}`);
});

const linkTo = (path: string): string => `${muster.url}${path}#token=${muster.token}`;
const submit = (spec: Partial<SubmittedJobSpec> & { name: string }): Promise<JobView> =>
  muster.client.jobs.submit({ version: 1, kind: "job", project: "pretrain", queue: "prod", ...spec });
const untilShown = (text: string | RegExp): Promise<void> => page.getByText(text).first().waitFor();
const stateIs = (label: string): Promise<void> => page.locator(".job-strip .state.large", { hasText: new RegExp(`^${label}$`) }).waitFor();

/** Pids of a job's own processes, those that its workers run, by their command. */
function processesOf(job: string, command: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const inJob = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(`MUSTER_JOB_ID=${job}`);
        return inJob && readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith(`${command}\0`);
      } catch {
        return false;
      }
    });
}

/** Two workers that count steps until they are ended. */
const COUNTING = 'echo "worker $RANK of attempt $MUSTER_ATTEMPT begins"; i=0; while true; do i=$((i+1)); echo "step=$i/5000 loss=0.5"; sleep 0.2; done';

describe("the dashboard in a real browser", () => {
  test("takes its token from the link, keeps it out of the address, and refuses a wrong one", async () => {
    await page.goto(`${muster.url}/nodes`);
    await page.getByLabel("Token").fill("mus_wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await untilShown("This token is not known");
    await page.getByLabel("Token").fill(muster.token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Nodes" }).waitFor();

    const other = await browser.newContext();
    const fresh = await other.newPage();
    await fresh.goto(linkTo("/"));
    await fresh.getByRole("heading", { name: "Pools" }).waitFor();
    expect(fresh.url()).toBe(`${muster.url}/`);
    await other.close();
  });

  test("shows a job start, lose a worker, recover, tell its log and be cancelled", async () => {
    await page.goto(linkTo("/jobs"));
    await page.getByRole("heading", { name: "Jobs" }).waitFor();
    const job = await submit({
      name: "counts-steps",
      accelerator: "h800",
      nodes: 2,
      resources: { accelerators: 8, cpus: 1, memory: "256Mi" },
      run: ["bash", "-c", COUNTING],
      progress: { preset: "muster" },
      checkpoint: { grace: 1 },
    });

    // it comes into the list by itself, and the row leads to its page
    await page.getByRole("link", { name: "counts-steps" }).click();
    await stateIs("Running");
    await page
      .getByText(/^step \d/)
      .first()
      .waitFor();
    expect(new URL(page.url()).pathname).toBe(`/jobs/${job.id}`);

    const [victim] = processesOf(job.id, "bash");
    expect(victim, "a worker's process").toBeDefined();
    process.kill(victim as number, "SIGKILL");

    // a second row in the timeline, and the first says what it ended of
    await page.getByRole("button", { name: /^Attempt 2: / }).waitFor();
    expect(await page.getByRole("button", { name: /^Attempt 1: Failed/ }).getAttribute("aria-label")).toContain("SIGKILL");
    await page.getByText("attempt 2", { exact: false }).first().waitFor();
    await stateIs("Running");
    const attempts = page.getByRole("table", { name: "Attempts" });
    expect(await attempts.getByRole("row").count()).toBe(3);

    await page.getByRole("tab", { name: "Workers" }).click();
    const workers = page.getByRole("table", { name: "Workers" });
    await workers.getByRole("row", { name: /worker\/1.*Running/ }).waitFor();

    await page.getByRole("tab", { name: "Logs" }).click();
    const log = page.getByRole("log");
    await log
      .getByText(/step=\d+\/5000/)
      .first()
      .waitFor();
    // what is written from now on comes too
    const seen = await log.innerText();
    await expect.poll(async () => (await log.innerText()) !== seen, { timeout: SOON }).toBe(true);
    await page.getByLabel("Search in this log").fill("begins");
    await log.getByText("worker 0 of attempt 2 begins").waitFor();
    await expect.poll(() => new URL(page.url()).searchParams.get("find")).toBe("begins");

    // the first attempt's log is still there, and the page that shows it can be sent to someone
    await page.getByLabel("Attempt").selectOption("1");
    await log.getByText("of attempt 1 begins").waitFor();
    await page.reload();
    await page.getByRole("log").getByText("of attempt 1 begins").waitFor();

    await page.getByRole("button", { name: "Cancel job" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel(/Reason/).fill("seen enough");
    await dialog.getByRole("button", { name: "Cancel job" }).click();
    await stateIs("Cancelled");
    await page.getByRole("tab", { name: "Events" }).click();
    await untilShown(/seen enough/);
    expect(await muster.client.jobs.get(job.id)).toMatchObject({ state: "cancelled", attempt: 2 });
  }, 120_000);

  test("says why a job waits, and does nothing until asked twice", async () => {
    const job = await submit({
      name: "too-many-nodes",
      accelerator: "mi300x",
      nodes: 2,
      resources: { accelerators: 8, cpus: 1, memory: "256Mi" },
      run: ["sleep", "600"],
      checkpoint: { grace: 1 },
    });
    await expect.poll(async () => (await muster.client.jobs.get(job.id)).state, { timeout: SOON }).toBe("running");
    const waiting = await submit({
      name: "waits-for-room",
      accelerator: "mi300x",
      nodes: 2,
      resources: { accelerators: 8, cpus: 1, memory: "256Mi" },
      run: ["true"],
    });
    await page.goto(linkTo(`/jobs/${waiting.id}`));
    await page.getByRole("heading", { name: "Why it waits" }).waitFor();
    await untilShown("No capacity");

    await page.getByRole("button", { name: "Hold" }).click();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    expect((await muster.client.jobs.get(waiting.id)).state).toBe("queued");
    await page.getByRole("button", { name: "Hold" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Hold" }).click();
    await stateIs("Held");
    await muster.client.jobs.act(waiting.id, "cancel");
    await muster.client.jobs.act(job.id, "cancel");
  }, 120_000);

  test("keeps filters in the URL and is walked by the keyboard", async () => {
    await page.goto(linkTo("/"));
    await page.getByRole("heading", { name: "Pools" }).waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("j");
    await page.getByRole("heading", { name: "Jobs" }).waitFor();
    await page.getByRole("button", { name: /^Cancelled \d/ }).click();
    await expect.poll(() => new URL(page.url()).searchParams.get("state")).toBe("cancelled");
    await page.getByRole("link", { name: "counts-steps" }).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.locator(".job-strip").waitFor();
    await page.keyboard.press("Escape");
    await expect.poll(() => new URL(page.url()).search).toBe("?state=cancelled");
    await page.keyboard.press("/");
    await page.getByRole("combobox").fill("counts");
    await page
      .getByRole("option", { name: /counts-steps/ })
      .first()
      .waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "counts-steps" }).waitFor();
  });

  test("cordons a node with a reason, and opens it again", async () => {
    await page.goto(linkTo("/nodes/a910b-3"));
    await page.getByRole("button", { name: "Cordon" }).click();
    const dialog = page.getByRole("dialog");
    expect(await dialog.getByRole("button", { name: "Cordon" }).isDisabled()).toBe(true);
    await dialog.getByLabel(/Reason/).fill("cable swap");
    await dialog.getByRole("button", { name: "Cordon" }).click();
    await untilShown("takes no work");
    await page.goto(`${muster.url}/nodes?show=broken`);
    await page.getByRole("row", { name: /a910b-3.*cable swap/ }).waitFor();
    await page.getByRole("button", { name: "Actions on a910b-3" }).click();
    await page.getByRole("menuitem", { name: "Uncordon" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Uncordon" }).click();
    await untilShown("No node matches");
  });

  test("tells an incident as a record: what was seen, what it was taken for, what was done, and how the job came back", async () => {
    // that of the worker that an earlier test killed
    const closed = async (): Promise<boolean> => {
      for await (const incident of muster.client.incidents()) if (incident.rule === "killed") return incident.closed_at !== null;
      return false;
    };
    await expect.poll(closed, { timeout: SOON }).toBe(true);
    await page.goto(linkTo("/incidents?open=all"));
    const record = page.getByRole("listitem").filter({ hasText: "a process was killed from outside" });
    await record.getByRole("button", { name: "Job failure" }).click();
    await record.getByText("by rule killed").waitFor();
    await record.getByText(/^restarted in place: /).waitFor();
    await record.getByRole("figure", { name: /^recovery: detect .*, start .*, reload / }).waitFor();
    expect(await record.getByLabel("Evidence").innerText()).toContain("SIGKILL");
  });

  test("fits one screen at 1440 by 900, and no page is wider than a telephone", async () => {
    await page.goto(linkTo("/"));
    await page.getByRole("heading", { name: "Pools" }).waitFor();
    const main = await page.locator("#main").evaluate((element) => [element.scrollHeight, element.clientHeight]);
    expect(main[0]).toBe(main[1]);
    await page.setViewportSize({ width: 400, height: 860 });
    const [job] = (await muster.client.jobs.page({ limit: 1 })).items;
    for (const path of ["/", "/jobs", `/jobs/${job?.id}`, `/jobs/${job?.id}?tab=logs`, "/nodes", "/nodes/h800-0", "/queues", "/incidents", "/events"]) {
      await page.goto(`${muster.url}${path}`);
      await page.locator("h1").first().waitFor({ state: "attached" });
      expect(await page.locator("html").evaluate((element) => element.scrollWidth), path).toBeLessThanOrEqual(400);
    }
  });
});
