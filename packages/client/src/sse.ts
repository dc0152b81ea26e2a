import { createParser } from "eventsource-parser";
import { backoffDelay, delay } from "./backoff.ts";
import { ConnectionError, ProblemError } from "./errors.ts";
import type { Call, Transport } from "./transport.ts";

export interface StreamMessage {
  id: string | undefined;
  event: string | undefined;
  data: string;
}

/** Seconds without a byte after which a stream is taken for dead; the server sends at least a comment every 15 s. */
const SILENCE = 45;
const MAX_BUFFER = 16 * 1024 * 1024;

/**
 * Messages of a stream of server-sent events, across lost connections: each reconnection asks anew, with the id of the
 * last message seen. Ends only by the signal, by the caller leaving its loop, or by a refusal of the server.
 * @param request the call for (re)connecting; called each time, so that a position can be put into it
 * @throws ProblemError where the server refuses; the signal's reason
 */
export async function* streamMessages(
  transport: Transport,
  request: () => Call,
  options: { signal?: AbortSignal | undefined; lastEventId?: string | undefined; onReconnect?: ((error: unknown) => void) | undefined; silence?: number } = {},
): AsyncGenerator<StreamMessage> {
  let lastId = options.lastEventId;
  let failed = 0;
  let serverDelay = 0;
  for (;;) {
    const connection = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, connection.signal]) : connection.signal;
    const silence = options.silence ?? SILENCE;
    const watchdog = setTimeout(() => connection.abort(new Error(`nothing was heard for ${silence} s`)), silence * 1000);
    let failure: unknown = new Error("the stream ended");
    try {
      const call = request();
      const response = await transport.open(
        { ...call, accept: "text/event-stream", headers: { ...call.headers, ...(lastId !== undefined && { "last-event-id": lastId }) } },
        signal,
      );
      let ready: StreamMessage[] = [];
      const parser = createParser({
        maxBufferSize: MAX_BUFFER,
        onEvent: (message) => ready.push({ id: message.id, event: message.event, data: message.data }),
        onRetry: (milliseconds) => (serverDelay = Math.min(milliseconds / 1000, 30)),
      });
      const decoder = new TextDecoder();
      if (response.body) {
        for await (const chunk of response.body) {
          watchdog.refresh();
          failed = 0;
          parser.feed(decoder.decode(chunk as Uint8Array, { stream: true }));
          const batch = ready;
          ready = [];
          for (const message of batch) {
            lastId = message.id ?? lastId;
            yield message;
          }
          watchdog.refresh();
        }
      }
    } catch (error) {
      if (options.signal?.aborted) throw options.signal.reason;
      if (error instanceof ProblemError && error.status < 500 && error.status !== 429) throw error;
      failure = error instanceof ProblemError ? error : new ConnectionError(transport.url.origin, error);
    } finally {
      clearTimeout(watchdog);
      connection.abort();
    }
    failed++;
    options.onReconnect?.(failure);
    await delay(Math.max(serverDelay, backoffDelay({ ...transport.backoff, limit: 10 }, failed, transport.random)), options.signal);
  }
}
