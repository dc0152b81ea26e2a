import { isFancy, type Io } from "./io.ts";

/** One line at the bottom of a terminal, redrawn in place; elsewhere nothing but the messages. */
export class StatusLine {
  readonly #io: Io;
  readonly #fancy: boolean;
  #shown = "";

  constructor(io: Io) {
    this.#io = io;
    this.#fancy = isFancy(io.stderr, io.env);
  }

  update(text: string): void {
    if (!this.#fancy || text === this.#shown) return;
    // a line that wraps could not be taken back
    const width = (this.#io.stderr.columns ?? 80) - 1;
    const line = text.length > width ? `${text.slice(0, width - 1)}…` : text;
    this.#io.stderr.write(`\r\u001b[2K${line}`);
    this.#shown = text;
  }

  /** A message that stays, above the line. */
  say(text: string): void {
    const shown = this.#shown;
    this.clear();
    this.#io.stderr.write(`${text}\n`);
    this.update(shown);
  }

  clear(): void {
    if (this.#shown !== "") this.#io.stderr.write("\r\u001b[2K");
    this.#shown = "";
  }
}

/** `[=======>      ]` */
export function progressBar(share: number, width = 20): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `[${"=".repeat(Math.max(0, full - 1))}${full > 0 ? (full === width ? "=" : ">") : ""}${" ".repeat(width - full)}]`;
}
