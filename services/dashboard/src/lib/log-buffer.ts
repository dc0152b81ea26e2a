/** A piece of a log as the server sends it: bytes [offset, next) and their text. */
export interface LogPiece {
  offset: number;
  next: number;
  text: string;
}

export interface LogState {
  lines: readonly string[];
  /** Lines dropped from the front so far; line numbers shown count from here. */
  dropped: number;
  /** Byte offsets of the part held. */
  first: number;
  next: number;
  /** The last line has no end yet. */
  partial: boolean;
}

export const emptyLog: LogState = { lines: [], dropped: 0, first: 0, next: 0, partial: false };

/** Lines kept in memory; older ones can be read again from the server. */
export const MAX_LINES = 50_000;

/** Adds a piece at the end. One that was already had (after a reconnect) changes nothing; a gap starts over. */
export function appendLog(state: LogState, piece: LogPiece, limit = MAX_LINES): LogState {
  if (piece.text === "")
    return state.next === 0 && state.lines.length === 0
      ? { ...state, first: piece.offset, next: piece.next }
      : { ...state, next: Math.max(state.next, piece.next) };
  const empty = state.lines.length === 0;
  if (!empty && piece.next <= state.next) return state;
  const restart = empty || piece.offset > state.next;
  const base = restart ? { ...emptyLog, first: piece.offset, next: piece.offset } : state;
  const parts = piece.text.split("\n");
  const ended = parts.at(-1) === "";
  if (ended) parts.pop();
  const lines = [...base.lines];
  if (base.partial && parts.length > 0) lines.push(`${lines.pop() ?? ""}${parts.shift() ?? ""}`);
  for (const part of parts) lines.push(part);
  const excess = Math.max(0, lines.length - limit);
  return { lines: excess > 0 ? lines.slice(excess) : lines, dropped: base.dropped + excess, first: base.first, next: piece.next, partial: !ended };
}

/** Adds an older piece in front; it must end where what is held begins. */
export function prependLog(state: LogState, piece: LogPiece): LogState {
  if (piece.next !== state.first || piece.offset >= state.first) return state;
  const parts = piece.text.split("\n");
  const ended = parts.at(-1) === "";
  if (ended) parts.pop();
  const rest = [...state.lines];
  if (!ended) rest[0] = `${parts.pop() ?? ""}${rest[0] ?? ""}`;
  return { ...state, lines: [...parts, ...rest], first: piece.offset, dropped: 0 };
}

const NEWLINE = 10;

/** Bytes cut anywhere, as a piece that begins with a whole line (and a whole character). */
export function wholeLines(offset: number, bytes: Uint8Array): LogPiece {
  const begin = offset === 0 ? 0 : bytes.indexOf(NEWLINE) + 1;
  return { offset: offset + begin, next: offset + bytes.length, text: new TextDecoder().decode(bytes.subarray(begin)) };
}

// oxlint-disable-next-line no-control-regex -- terminal control sequences are what it removes
const CONTROL = /\u001B(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)|[@-Z\\-_])|[\u0000-\u0008\u000B\u000C\u000E-\u001F]/g;

/** A line as a terminal would leave it: no colours, and of a progress bar redrawn over itself the last state. */
export function cleanLine(line: string): string {
  const drawn = line.replace(/\r+$/, "");
  const back = drawn.lastIndexOf("\r");
  return (back < 0 ? drawn : drawn.slice(back + 1)).replaceAll(CONTROL, "");
}

const SEVERE = /\b(?:error|exception|traceback|fatal|critical|panic|segmentation fault|out of memory|oom|killed)\b/i;
const WORRYING = /\b(?:warn|warning|deprecated|retrying|timed? ?out)\b/i;

/** How much a line deserves the eye. */
export const gravity = (line: string): "bad" | "warn" | undefined => (SEVERE.test(line) ? "bad" : WORRYING.test(line) ? "warn" : undefined);

/** Indexes of the lines that hold the text, letters of either case. */
export function findLines(lines: readonly string[], text: string): number[] {
  const wanted = text.toLowerCase();
  if (wanted === "") return [];
  return lines.flatMap((line, index) => (line.toLowerCase().includes(wanted) ? [index] : []));
}
