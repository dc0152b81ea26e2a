import { describe, expect, it } from "vitest";
import { rendezvousPort } from "./rendezvous.ts";

describe("rendezvousPort", () => {
  it("stays clear of what Linux gives to outgoing connections and Kubernetes to services", () => {
    for (let attempt = 1; attempt <= 5000; attempt++) {
      const port = rendezvousPort("10.0.0.1", "job_a", attempt, undefined);
      expect(port).toBeGreaterThanOrEqual(20_000);
      expect(port).toBeLessThan(30_000);
    }
  });

  it("takes another one where it is in use, and says so where all are", () => {
    const port = rendezvousPort("10.0.0.1", "job_a", 1, undefined);
    expect(rendezvousPort("10.0.0.1", "job_a", 1, new Set([port]))).toBe(port === 29_999 ? 20_000 : port + 1);
    expect(() => rendezvousPort("10.0.0.1", "job_a", 1, { has: () => true })).toThrow("all 10000 rendezvous ports of 10.0.0.1 are in use");
  });
});
