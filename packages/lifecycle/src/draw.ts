import { JOB_EVENTS, JOB_TRANSITIONS, type JobRow } from "./job-states.ts";
import { NODE_EVENTS, NODE_TRANSITIONS } from "./node-states.ts";

/* Draws the tables of states for docs/lifecycle.md, so that the picture can't differ from what runs. */

function table(corner: string, rows: Readonly<Record<string, Readonly<Record<string, string | undefined>>>>, events: readonly string[]): string {
  const names = Object.keys(rows);
  const lines = [`| ${corner} | ${names.join(" | ")} |`, `|---|${names.map(() => "---").join("|")}|`];
  for (const event of events) lines.push(`| \`${event}\` | ${names.map((name) => rows[name]?.[event] ?? "·").join(" | ")} |`);
  return lines.join("\n");
}

function picture(rows: Readonly<Record<string, Readonly<Record<string, string | undefined>>>>): string {
  const edges = new Map<string, string[]>();
  for (const [from, events] of Object.entries(rows)) {
    for (const [event, to] of Object.entries(events)) {
      if (to === undefined || to === "same" || to === from) continue;
      const key = `${from} --> ${to.startsWith("stopping:") ? "stopping" : to === "target" ? "where_it_was_bound" : to}`;
      edges.set(key, [...(edges.get(key) ?? []), event]);
    }
  }
  return ["```mermaid", "stateDiagram-v2", ...[...edges].map(([edge, events]) => `  ${edge}: ${events.join(", ")}`), "```"].join("\n");
}

/** The generated part of docs/lifecycle.md. */
export function drawStates(): string {
  const jobs: Readonly<Record<JobRow, Readonly<Record<string, string | undefined>>>> = JOB_TRANSITIONS;
  return [
    "### Jobs",
    picture(jobs),
    "`ending` is `stopping` on the way to a final state. `same` changes nothing; `·` is illegal and answered with what is possible.",
    table("event", jobs, JOB_EVENTS),
    "### Nodes",
    picture(NODE_TRANSITIONS),
    table("event", NODE_TRANSITIONS, NODE_EVENTS),
    "",
  ].join("\n\n");
}
