import { describe, expect, test } from "vitest";
import { keyOfPod, podName, sealName } from "./names.ts";

const key = { job: "job_01jd3k8x7v9abcdefghjkmnpqr", incarnation: "7412345678901234", attempt: 3, worker: "worker/17" };

describe("names", () => {
  test("say job, attempt, role and rank, and are host names", () => {
    expect(podName(key)).toMatch(/^job-01jd3k8x7v9abcdefghjkmnpqr-3-worker-17-h[0-9a-f]{7}$/);
    expect(podName({ ...key, worker: `${"long-role-".repeat(6)}x/1234` })).toMatch(/^[a-z][-a-z0-9]{0,61}[a-z0-9]$/);
    expect(sealName(key, "40-12")).toMatch(/^job-[a-z0-9]+-3-seal-40-12-h[0-9a-f]{7}$/);
  });

  test("differ wherever the key does, however little of it fits", () => {
    const role = "r".repeat(63);
    const names = [key, { ...key, incarnation: "7" }, { ...key, attempt: 4 }, ...[1, 2].map((rank) => ({ ...key, worker: `${role}/${rank}` }))].map(podName);
    expect(new Set(names).size).toBe(names.length);
  });

  test("a pod's labels give its key; what isn't a worker's gives none", () => {
    const labels = {
      "muster.dev/kind": "worker",
      "muster.dev/job": key.job,
      "muster.dev/incarnation": key.incarnation,
      "muster.dev/attempt": "3",
      "muster.dev/role": "worker",
      "muster.dev/rank": "17",
    };
    expect(keyOfPod({ labels })).toEqual(key);
    expect(keyOfPod({ labels: { ...labels, "muster.dev/kind": "seal" } })).toBeUndefined();
    expect(keyOfPod({ labels: { ...labels, "muster.dev/incarnation": "x" } })).toBeUndefined();
    expect(keyOfPod({})).toBeUndefined();
  });
});
