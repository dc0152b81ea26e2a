/** One message of a text/event-stream; `comment` is set for heartbeats, which carry no data. */
export interface SseMessage {
  id: string | undefined;
  event: string;
  data: string;
  comment: boolean;
}

/**
 * Reads text/event-stream from chunks cut anywhere, as the HTML standard defines it. EventSource itself cannot send an
 * Authorization header, and a token has no place in a URL.
 */
export class SseReader {
  #buffer = "";
  #id: string | undefined;
  #event = "";
  #data: string[] = [];
  /** Milliseconds to wait before the next connection, when the server named it. */
  retry: number | undefined;

  push(chunk: string): SseMessage[] {
    const messages: SseMessage[] = [];
    this.#buffer += chunk;
    for (;;) {
      const end = this.#buffer.search(/[\r\n]/);
      if (end < 0) break;
      // A carriage return at the very end may be the first half of a CRLF.
      if (this.#buffer[end] === "\r" && end === this.#buffer.length - 1) break;
      const line = this.#buffer.slice(0, end);
      this.#buffer = this.#buffer.slice(end + (this.#buffer.startsWith("\r\n", end) ? 2 : 1));
      const message = this.#line(line);
      if (message) messages.push(message);
    }
    return messages;
  }

  #line(line: string): SseMessage | undefined {
    if (line === "") {
      if (this.#data.length === 0) {
        this.#event = "";
        return undefined;
      }
      const message: SseMessage = { id: this.#id, event: this.#event || "message", data: this.#data.join("\n"), comment: false };
      this.#data = [];
      this.#event = "";
      return message;
    }
    if (line.startsWith(":")) return { id: this.#id, event: "comment", data: line.slice(1).trim(), comment: true };
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return undefined;
  }
}
