import { readFileSync } from "node:fs";
import type { SubmittedJobSpec } from "@muster/model";

const SCRIPT = readFileSync(new URL("trainer.sh", import.meta.url), "utf8");

/** A job that counts to `steps` and commits every step; a new attempt goes on from the last one committed. */
export function trainer({ steps, pace, ...spec }: { steps: number; pace: number } & Partial<SubmittedJobSpec>): Partial<SubmittedJobSpec> {
  return {
    run: ["sh", "-c", SCRIPT, "trainer", String(steps), String(pace)],
    progress: { pattern: "^step=(?<step>\\d+)$" },
    ...spec,
    checkpoint: { committed: "^saved (?<step>\\d+) (?<path>\\S+)$", grace: 5, ...spec.checkpoint },
  };
}
