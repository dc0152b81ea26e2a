import { LineCutter } from "./lines.ts";
import { linePattern, type LinePattern } from "./patterns.ts";
import { progressParser, type Progress, type ProgressParser } from "./progress-presets.ts";

/* What is read from a worker's output, line by line: progress, commits, matches of the recovery rules. */

export interface OutputEvents {
  progress: (progress: Progress) => void;
  commit: (step: number, named: string | undefined, end: number) => void;
  matched: (id: string, line: string, end: number) => void;
}

export interface OutputSpec {
  progress: { preset: string } | { pattern: string };
  committed?: string;
  watch: { id: string; pattern: string }[];
}

const TAIL_BYTES = 16_384;
const MATCHED_LINE_CAP = 1024;

export class OutputReader {
  private readonly parse: ProgressParser;
  private readonly committed: LinePattern | undefined;
  private readonly watch: { id: string; pattern: LinePattern }[];
  private readonly events: OutputEvents;
  private cutter: LineCutter;
  private tailParts: Buffer[] = [];
  private tailBytes = 0;

  /** Throws where a pattern can't be matched in linear time. `matched`: ids already reported. */
  constructor(spec: OutputSpec, events: OutputEvents, offset: number, matched: ReadonlySet<string>) {
    this.parse = progressParser(spec.progress);
    this.committed = spec.committed === undefined ? undefined : linePattern(spec.committed);
    this.watch = spec.watch.filter(({ id }) => !matched.has(id)).map(({ id, pattern }) => ({ id, pattern: linePattern(pattern) }));
    this.events = events;
    this.cutter = new LineCutter(offset);
  }

  push(data: Buffer): void {
    this.tailParts.push(data);
    this.tailBytes += data.length;
    if (this.tailBytes > 4 * TAIL_BYTES) {
      const tail = this.tail(TAIL_BYTES);
      this.tailParts = [tail];
      this.tailBytes = tail.length;
    }
    this.cutter.push(data, this.line);
  }

  end(): void {
    this.cutter.finish(this.line);
  }

  /** The end of the output, without a cut-off first character. */
  tail(bytes: number): Buffer {
    const whole = Buffer.concat(this.tailParts);
    if (whole.length <= bytes) return whole;
    let at = whole.length - bytes;
    while (at < whole.length && ((whole[at] as number) & 0xc0) === 0x80) at++;
    return whole.subarray(at);
  }

  private readonly line = (text: string, end: number): void => {
    const progress = this.parse(text);
    if (progress) this.events.progress(progress);
    const commit = this.committed?.groups(text);
    const step = commit?.["step"] === undefined ? undefined : Number(commit["step"]);
    if (commit && step !== undefined && Number.isSafeInteger(step) && step >= 0) this.events.commit(step, commit["path"], end);
    for (let i = this.watch.length - 1; i >= 0; i--) {
      const { id, pattern } = this.watch[i] as { id: string; pattern: LinePattern };
      if (!pattern.test(text)) continue;
      this.watch.splice(i, 1);
      this.events.matched(id, text.slice(0, MATCHED_LINE_CAP), end);
    }
  };
}

/** Throws, with what to change, where a worker's patterns can't be used. */
export function checkOutputSpec(spec: OutputSpec): void {
  // presets alone need no check: the common case stays cheap
  if ("preset" in spec.progress && spec.committed === undefined && spec.watch.length === 0) return;
  const none = (): void => {};
  void new OutputReader(spec, { progress: none, commit: none, matched: none }, 0, new Set());
}
