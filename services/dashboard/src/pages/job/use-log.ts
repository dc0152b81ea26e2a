import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError, send } from "../../api/client.ts";
import { readStream } from "../../api/event-source.ts";
import { reconnectDelay } from "../../lib/freshness.ts";
import { appendLog, emptyLog, prependLog, wholeLines } from "../../lib/log-buffer.ts";
import type { LogPiece, LogState } from "../../lib/log-buffer.ts";

/** Lines read first, from the end. */
const TAIL = 2000;
/** Bytes read each time that older lines are asked for. */
const OLDER = 256 * 1024;
/** Pieces within this time (milliseconds) are drawn together. */
const DRAW = 60;

export interface LogSource {
  job: string;
  attempt: number;
  worker: string;
}
interface Kept {
  key: string;
  state: LogState;
  loading: boolean;
  error: unknown;
  /** The worker has ended and all of its log is here. */
  ended: boolean;
}
export interface Log extends Kept {
  older: () => void;
}

const fresh = (key: string): Kept => ({ key, state: emptyLog, loading: true, error: undefined, ended: false });
const pathOf = ({ job, attempt, worker }: LogSource, query: Record<string, string>): string =>
  `/v1/jobs/${encodeURIComponent(job)}/logs?${new URLSearchParams({ attempt: String(attempt), worker, ...query })}`;

function pieceOf(data: string): (LogPiece & { end?: boolean }) | undefined {
  try {
    const value = JSON.parse(data) as Partial<LogPiece>;
    return typeof value.text === "string" && typeof value.offset === "number" && typeof value.next === "number" ? (value as LogPiece) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether to ask again after an error: a worker that has not started has no log yet, but may come to have one. */
const mayCome = (error: unknown): boolean =>
  !(error instanceof ApiError) || error.status === 0 || error.status === 404 || error.status === 429 || error.status >= 500;

/** Reads a worker's log from near its end and follows it; goes on where it was after a pause or a lost connection. */
export function useLog(source: LogSource | undefined, follow: boolean): Log {
  const { job, attempt, worker } = source ?? { job: "", attempt: 0, worker: "" };
  const key = `${job}/${attempt}/${worker}`;
  const [kept, setKept] = useState<Kept>(() => fresh(key));
  const place = useRef<{ key: string; next: number | undefined; ended: boolean }>({ key, next: undefined, ended: false });

  useEffect(() => {
    if (place.current.key !== key) place.current = { key, next: undefined, ended: false };
    const at = place.current;
    const change = (update: (old: Kept) => Kept): void => setKept((old) => update(old.key === key ? old : fresh(key)));
    change((old) => old);
    // A log not followed is still read once.
    if (worker === "" || at.ended || (!follow && at.next !== undefined)) return undefined;
    const control = new AbortController();
    let pieces: LogPiece[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;

    const draw = (): void => {
      clearTimeout(timer);
      timer = undefined;
      const taken = pieces;
      pieces = [];
      change((old) => ({
        ...old,
        loading: false,
        error: undefined,
        ended: at.ended,
        state: taken.reduce((state, piece) => appendLog(state, piece), old.state),
      }));
    };
    const read = async (): Promise<void> => {
      await readStream({
        path: pathOf({ job, attempt, worker }, { ...(at.next === undefined ? { tail: String(TAIL) } : { offset: String(at.next) }), follow: "true" }),
        signal: control.signal,
        onOpen: () => {
          failures = 0;
          timer ??= setTimeout(draw, DRAW * 4);
        },
        onMessage: (message) => {
          const piece = message.comment ? undefined : pieceOf(message.data);
          if (!piece) return;
          at.next = Math.max(at.next ?? 0, piece.next);
          at.ended = piece.end === true;
          pieces.push(piece);
          timer ??= setTimeout(draw, DRAW);
        },
      });
    };
    const keepReading = async (): Promise<void> => {
      try {
        await read();
        draw();
        if (at.ended) return;
      } catch (error) {
        if (control.signal.aborted) return;
        change((old) => ({ ...old, loading: false, error }));
        if (!mayCome(error)) return;
      }
      if (control.signal.aborted) return;
      failures += 1;
      again = setTimeout(() => void keepReading(), reconnectDelay(failures, Math.random()));
    };
    void keepReading();
    return () => {
      control.abort();
      if (timer !== undefined) draw();
      clearTimeout(again);
    };
  }, [key, job, attempt, worker, follow]);

  const { first } = kept.state;
  const older = useCallback(() => {
    if (first === 0) return;
    const offset = Math.max(0, first - OLDER);
    const add = async (): Promise<void> => {
      const response = await send(pathOf({ job, attempt, worker }, { offset: String(offset), limit: String(first - offset) }), {
        headers: { accept: "text/plain" },
      });
      const piece = wholeLines(offset, new Uint8Array(await response.arrayBuffer()));
      setKept((old) => (old.key === key ? { ...old, state: prependLog(old.state, piece) } : old));
    };
    add().catch((error: unknown) => setKept((old) => (old.key === key ? { ...old, error } : old)));
  }, [first, key, job, attempt, worker]);

  return { ...(kept.key === key ? kept : fresh(key)), older };
}
