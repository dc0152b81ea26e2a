export interface Limits {
  /** Bytes of a body; of several jobs at once, `batchBody`. */
  body: number;
  batchBody: number;
  /** Requests of one token within ten seconds. */
  requests: number;
  /** Open streams of one token. */
  streams: number;
  /** Bytes that a stream's reader may lag behind before it is let go. */
  streamBuffer: number;
  /** Milliseconds between looks at whether a stream's token may still see what it is sent. */
  streamCheck: number;
  /** Hours for which an Idempotency-Key is remembered. */
  idempotencyHours: number;
}

export const DEFAULT_LIMITS: Limits = {
  body: 1 << 20,
  batchBody: 16 << 20,
  requests: 20_000,
  streams: 32,
  streamBuffer: 4 << 20,
  streamCheck: 5000,
  idempotencyHours: 48,
};
