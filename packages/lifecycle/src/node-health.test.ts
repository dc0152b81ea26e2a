import { describe, expect, it } from "vitest";
import { NODE_HEALTH } from "@muster/model";
import { decideHealth, decideSuspicion, type ReportedNode } from "./node-health.ts";
import { nextNodeHealth } from "./node-states.ts";

const node = (part: Partial<ReportedNode>): ReportedNode => ({ health: "ready", setBy: null, quarantined: 0, total: 40, ...part });

describe("decideHealth", () => {
  it.each([
    ["fatal takes a node out", {}, "fatal", ["cordon"], false],
    ["a suspect one too", { health: "suspect", setBy: "other" }, "fatal", ["cordon"], false],
    ["as many as a tenth of the pool", { quarantined: 3 }, "fatal", ["cordon"], false],
    ["no more than that", { quarantined: 4 }, "fatal", ["suspected"], true],
    ["one of a small pool", { total: 3 }, "fatal", ["cordon"], false],
    ["not two", { total: 3, quarantined: 1 }, "fatal", ["suspected"], true],
    ["a warning makes suspect", {}, "warning", ["suspected"], false],
    ["a warning on probation takes it out again", { health: "probation" }, "warning", ["cordon"], false],
    ["a node in somebody's hands stays there", { health: "draining" }, "fatal", [], false],
    ["ok clears what the check set", { health: "suspect", setBy: "dcgm" }, "ok", ["cleared"], false],
    ["ok puts on probation what the check took out", { health: "cordoned", setBy: "dcgm" }, "ok", ["diagnose", "passed"], false],
    ["ok leaves alone what another check set", { health: "suspect", setBy: "nhc" }, "ok", [], false],
    ["ok leaves alone what a person set", { health: "cordoned" }, "ok", [], false],
    ["ok on a ready node", {}, "ok", [], false],
  ] as [string, Partial<ReportedNode>, "ok" | "warning" | "fatal", string[], boolean][])("%s", (_, part, status, events, full) => {
    expect(decideHealth(node(part), { status, check: "dcgm" })).toEqual({ events, full });
  });

  it("asks only for what the node's state allows", () => {
    for (const health of NODE_HEALTH) {
      for (const status of ["ok", "warning", "fatal"] as const) {
        for (const quarantined of [0, 40]) {
          let at: string = health;
          for (const event of decideHealth(node({ health, setBy: "dcgm", quarantined }), { status, check: "dcgm" }).events) {
            const next = nextNodeHealth(at as typeof health, event);
            expect(next, `${at} ${event}`).toBeDefined();
            at = next ?? "";
          }
        }
      }
    }
  });
});

describe("decideSuspicion", () => {
  it.each([
    ["the first time it is suspect", {}, false, ["suspected"], false],
    ["the second time its work leaves", { health: "suspect", setBy: "rule:crash" }, false, ["drain"], false],
    ["on probation the first time", { health: "probation" }, false, ["drain"], false],
    ["not if too many are out", { health: "probation", quarantined: 4 }, false, [], true],
    ["what is suspect for another reason stays so", { health: "suspect", setBy: null }, false, [], false],
    ["a device's own error takes it out at once", {}, true, ["cordon"], false],
    ["but no more than a tenth", { quarantined: 4 }, true, ["suspected"], true],
    ["or the part that is set", { quarantined: 4, quarantine: 0.2 }, true, ["cordon"], false],
    ["a node in somebody's hands stays there", { health: "cordoned" }, true, [], false],
  ] as [string, Partial<ReportedNode>, boolean, string[], boolean][])("%s", (_, part, certain, events, full) => {
    expect(decideSuspicion(node(part), certain)).toEqual({ events, full });
  });
});
