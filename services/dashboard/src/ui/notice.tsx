import type { Tone } from "../lib/words.ts";
import type { Shape } from "../lib/words.ts";
import { ApiError } from "../api/client.ts";
import { ShapeMark } from "./shape.tsx";

/** Nothing to show, and why that is so. */
export function Notice({ shape = "ring", tone, title, children }: { shape?: Shape; tone?: Tone; title: string; children?: React.ReactNode }): React.ReactNode {
  return (
    <div className="notice" data-tone={tone}>
      <ShapeMark shape={shape} size={20} />
      <strong>{title}</strong>
      {children}
    </div>
  );
}

export function Skeleton({ lines = 5 }: { lines?: number }): React.ReactNode {
  return (
    <div className="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        <i key={line} style={{ width: `${90 - ((line * 37) % 50)}%` }} />
      ))}
    </div>
  );
}

/** What went wrong, whether it is the server's or the reader's to mend, and a way to try again. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }): React.ReactNode {
  const known = error instanceof ApiError ? error : undefined;
  const title =
    known?.status === 0
      ? "The server does not answer"
      : known?.status === 404
        ? "Not found"
        : known?.status === 403
          ? "Not allowed"
          : "This could not be loaded";
  return (
    <div className="notice" data-tone="bad" role="alert">
      <ShapeMark shape="triangle" size={20} />
      <strong>{title}</strong>
      <p>
        {known?.status === 0
          ? "It is asked again every few seconds. Jobs that run are not affected by this."
          : error instanceof Error
            ? error.message
            : String(error)}
      </p>
      {known?.requestId ? <p className="faint mono">request {known.requestId}</p> : null}
      {retry ? (
        <button type="button" className="button" onClick={retry}>
          Try again
        </button>
      ) : null}
    </div>
  );
}
