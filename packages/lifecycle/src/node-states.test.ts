import { NODE_HEALTH } from "@muster/model";
import { describe, expect, it } from "vitest";
import { NODE_EVENTS, NODE_TRANSITIONS, nextNodeHealth } from "./node-states.ts";

describe("the table of node health", () => {
  it("answers every pair with a health or undefined, and lets an operator bring every node back", () => {
    for (const health of NODE_HEALTH) {
      for (const event of NODE_EVENTS) expect([...NODE_HEALTH, undefined]).toContain(nextNodeHealth(health, event));
      expect(nextNodeHealth(health, "uncordon")).toBe("ready");
    }
  });

  it("puts a node that comes back from diagnosis on probation, never straight to work", () => {
    expect(nextNodeHealth("diagnosing", "passed")).toBe("probation");
    expect(nextNodeHealth("probation", "proven")).toBe("ready");
    expect(nextNodeHealth("probation", "suspected")).toBe("cordoned");
    expect(NODE_TRANSITIONS.diagnosing.cleared).toBeUndefined();
  });
});
