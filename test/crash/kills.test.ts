import { describe, expect, it } from "vitest";
import { runChurn } from "./scenarios/churn.ts";
import { crashPointAt, runCrashPoints } from "./scenarios/crash-points.ts";
import { random } from "./scenarios/random.ts";
import { runSubmissions } from "./scenarios/submissions.ts";

const SEED = Number(process.env["MUSTER_CRASH_SEED"] ?? 20_260);

describe("SIGKILL of the services", () => {
  it("between any two writes: the job still ends once", async () => {
    const next = random(SEED);
    // a few, as all of them take minutes: `npm run soak` does
    const side = (): "before" | "after" => (next() < 0.5 ? "before" : "after");
    const points = [
      crashPointAt("life", side(), next() * 0.35),
      crashPointAt("life", side(), 0.35 + next() * 0.35),
      crashPointAt("recovery", side(), next() * 0.8),
      crashPointAt("drain", side(), next() * 0.8),
    ];
    // how many writes a life takes is not quite the same each time
    const { reached } = await runCrashPoints(points);
    expect(reached).toBeGreaterThanOrEqual(3);
  }, 300_000);

  it("during submission: nothing acknowledged is lost, nothing is made twice", async () => {
    expect(await runSubmissions(200, 4, random(SEED))).toMatchObject({ acknowledged: 200, kills: 4, lost: 0, doubled: 0 });
  }, 300_000);

  it("of one of two schedulers and two supervisors every few seconds: each job runs once, no device is held doubly", async () => {
    expect((await runChurn(100, random(SEED))).kills).toBeGreaterThan(0);
  }, 300_000);
});
