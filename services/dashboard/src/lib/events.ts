import type { EventView } from "@muster/model";
import type { Shape, Tone } from "./words.ts";

/** Said without their name: they are sentences. */
const SENTENCES = ["why", "reason", "message", "evidence"] as const;
/** Told elsewhere in the row, or of no use to a reader. */
const SILENT = new Set<string>([...SENTENCES, "attempt", "node", "job", "name", "from", "locality", "backoff", "restart", "outcome"]);

/** The few values of an event's data that say most; nested ones are left to the details. */
export function eventSummary(data: Readonly<Record<string, unknown>>, most = 4): string {
  const sentences = SENTENCES.map((key) => textOf(data[key])).filter((text) => text !== "");
  const pairs = Object.entries(data)
    .filter(([key, value]) => !SILENT.has(key) && value !== 0)
    .flatMap(([key, value]) => {
      const words = key.replaceAll("_", " ");
      const text = textOf(value);
      return value === true ? [words] : text === "" ? [] : [`${words} ${text}`];
    });
  return [...new Set([...sentences, ...pairs])].slice(0, most).join(" · ");
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  if (Array.isArray(value) && value.every((item) => typeof item === "string"))
    return `${value.slice(0, 3).join(", ")}${value.length > 3 ? ` +${value.length - 3}` : ""}`;
  return "";
}

/** How an event looks, from the words of its kind: kinds grow, their words stay. */
export function eventLook(event: Pick<EventView, "kind" | "data">): { tone: Tone; shape: Shape } {
  const outcome = event.data["outcome"];
  const words = event.kind === "attempt.ended" && typeof outcome === "string" ? outcome : event.kind;
  if (words === "node.uncordon") return { tone: "done", shape: "check" };
  if (/fail|lost|error|refused|silence$/.test(words)) return { tone: "bad", shape: "cross" };
  if (/recover|preempt|drain|suspect|dropped|stopping|cordon/.test(words)) return { tone: "warn", shape: "triangle" };
  if (/succeed|accepted|checkpoint|cleared|_over$|resumed$/.test(words)) return { tone: "done", shape: "check" };
  if (/running|started|progressing/.test(words)) return { tone: "run", shape: "play" };
  if (/hold|held|suspend/.test(words)) return { tone: "hold", shape: "pause" };
  if (/cancel/.test(words)) return { tone: "quiet", shape: "slash" };
  if (/schedul|starting/.test(words)) return { tone: "begin", shape: "half" };
  return { tone: "wait", shape: "ring" };
}
