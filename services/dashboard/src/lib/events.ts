import type { EventView } from "@muster/model";
import type { Shape, Tone } from "./words.ts";

/** The few values of an event's data that say most, as "key value" pairs; nested ones are left to the details. */
export function eventSummary(data: Readonly<Record<string, unknown>>, most = 5): string {
  const parts: string[] = [];
  for (const [key, value] of Object.entries(data)) {
    if (parts.length >= most) break;
    if (typeof value === "string" && value !== "") parts.push(`${key.replaceAll("_", " ")} ${value}`);
    else if (typeof value === "number" || value === true) parts.push(value === true ? key.replaceAll("_", " ") : `${key.replaceAll("_", " ")} ${value}`);
    else if (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string")) parts.push(`${key.replaceAll("_", " ")} ${value.slice(0, 3).join(", ")}${value.length > 3 ? ` +${value.length - 3}` : ""}`);
  }
  return parts.join(" · ");
}

/** How an event looks, from the words of its kind: kinds grow, their words stay. */
export function eventLook(event: Pick<EventView, "kind" | "data">): { tone: Tone; shape: Shape } {
  const words = `${event.kind} ${typeof event.data["state"] === "string" ? event.data["state"] : ""} ${typeof event.data["outcome"] === "string" ? event.data["outcome"] : ""}`;
  if (/fail|lost|error|refused|silence|incident\.opened/.test(words)) return { tone: "bad", shape: "cross" };
  if (/recover|preempt|drain|suspect|unreachable|no_progress|straggler|backoff|stopping|cordon/.test(words)) return { tone: "warn", shape: "triangle" };
  if (/succeed|sealed|accepted|commit|checkpoint|closed|cleared|uncordon/.test(words)) return { tone: "done", shape: "check" };
  if (/running|started|all_up/.test(words)) return { tone: "run", shape: "play" };
  if (/hold|held|suspend/.test(words)) return { tone: "hold", shape: "pause" };
  if (/cancel/.test(words)) return { tone: "quiet", shape: "slash" };
  if (/schedul|starting|opened|placed/.test(words)) return { tone: "begin", shape: "half" };
  return { tone: "wait", shape: "ring" };
}
