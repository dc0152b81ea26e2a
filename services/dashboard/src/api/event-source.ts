import { SseReader } from "../lib/sse.ts";
import type { SseMessage } from "../lib/sse.ts";
import { send } from "./client.ts";

export interface Stream {
  path: string;
  lastEventId?: string | undefined;
  signal: AbortSignal;
  onOpen?: () => void;
  onMessage: (message: SseMessage) => void;
  /** Any bytes at all: the connection lives. */
  onBytes?: () => void;
}

/** Reads one connection's text/event-stream until the server ends it; throws when it cannot be had or breaks. */
export async function readStream({ path, lastEventId, signal, onOpen, onMessage, onBytes }: Stream): Promise<void> {
  const response = await send(path, {
    signal,
    headers: { accept: "text/event-stream", ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }) },
  });
  onOpen?.();
  if (!response.body) return;
  const reader = new SseReader();
  const decoder = new TextDecoder();
  const chunks = response.body.getReader();
  for (;;) {
    const { done, value } = await chunks.read();
    if (done) return;
    onBytes?.();
    for (const message of reader.push(decoder.decode(value, { stream: true }))) onMessage(message);
  }
}
