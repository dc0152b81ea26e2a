import { styleText } from "node:util";
import type { EventView } from "@muster/model";

/** Says on the terminal what Muster saw and did, as it happens. Colours only where there is a terminal. */
export class Narrator {
  readonly #out: NodeJS.WritableStream & { isTTY?: boolean };
  readonly #began = Date.now();
  readonly #names = new Map<string, string>();
  /** When a checkpoint was last told of, by job: one every few seconds says enough. */
  readonly #sealed = new Map<string, number>();

  constructor(out: NodeJS.WritableStream & { isTTY?: boolean }) {
    this.#out = out;
  }

  style(format: Parameters<typeof styleText>[0], text: string): string {
    return this.#out.isTTY === true && !process.env["NO_COLOR"] ? styleText(format, text) : text;
  }

  write(text = ""): void {
    this.#out.write(`${text}\n`);
  }

  title(text: string): void {
    this.write(`\n${this.style("bold", text)}`);
  }

  name(id: string, name: string): void {
    this.#names.set(id, name);
  }

  line(who: string, text: string, mark = " "): void {
    const time = `${((Date.now() - this.#began) / 1000).toFixed(1)}s`.padStart(7);
    this.write(`${this.style("dim", time)}  ${mark} ${this.style("cyan", who.padEnd(17))} ${text}`);
  }

  /** Tells an event of one of the demo's jobs; most need no words. */
  event(event: EventView): void {
    const name = event.job === null ? undefined : this.#names.get(event.job);
    if (name === undefined) return;
    if (event.kind === "checkpoint.sealed") {
      const at = Date.parse(event.at);
      if (at - (this.#sealed.get(name) ?? 0) < 4000) return;
      this.#sealed.set(name, at);
    }
    const told = this.#tell(event);
    if (told) this.line(name, told[1], told[0]);
  }

  #tell({ kind, attempt, data }: EventView): [string, string] | undefined {
    const of = attempt !== null && attempt > 1 ? ` (attempt ${attempt})` : "";
    switch (kind) {
      case "job.scheduled":
        return typeof data["rung"] === "string"
          ? [
              this.style("yellow", "↻"),
              `judged: ${String(data["class"])}, rule ${String(data["rule"])}; on ${(data["nodes"] as string[]).join(", ")}: ${String(data["rung_why"])}`,
            ]
          : ["·", `placed on ${(data["nodes"] as string[]).join(", ")}${of}`];
      case "job.running":
        return [this.style("green", "▶"), `every worker is up${of}`];
      case "attempt.progressing":
        return ["·", `first step of this attempt: ${String(data["step"])}${of}`];
      case "checkpoint.sealed":
        return ["·", `checkpoint of step ${String(data["step"])} is out of every worker's reach`];
      case "worker.failed":
        return [
          this.style("red", "✗"),
          `${(data["workers"] as string[]).join(", ")} failed, seen as "${String(data["seen_as"])}": ${(data["evidence"] as string[])[0] ?? ""}`,
        ];
      case "job.recovering":
        return [this.style("yellow", "↻"), "taking the rest of the gang down"];
      case "job.queued":
        return data["restart"] === true
          ? [this.style("yellow", "↻"), `judged: ${String(data["class"])}, rule ${String(data["rule"])}; ${String(data["why"])}`]
          : undefined;
      case "job.succeeded":
        return [this.style("green", "✓"), "succeeded"];
      case "job.failed":
        return [this.style("red", "✗"), `failed: ${typeof data["why"] === "string" ? data["why"] : "see its attempts"}`];
      default:
        return undefined;
    }
  }
}
