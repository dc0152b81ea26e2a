/** Longest part of a line that is looked at; the rest of it is skipped. */
export const LINE_CAP = 4096;

/** Cuts a worker's output into lines, and says at which offset of the whole output each ends. */
export class LineCutter {
  private rest: Buffer[] = [];
  private restBytes = 0;
  private offset: number;

  constructor(offset: number) {
    this.offset = offset;
  }

  /** `\n` and a lone `\r` (progress bars) end a line. */
  push(data: Buffer, line: (text: string, end: number) => void): void {
    for (let at = 0; at < data.length; ) {
      const newline = data.indexOf(10, at);
      const stop = newline < 0 ? data.length : newline;
      const carriage = data.subarray(at, stop).indexOf(13);
      const cut = carriage >= 0 ? at + carriage : stop;
      if (this.restBytes < LINE_CAP && cut > at) {
        const piece = data.subarray(at, Math.min(cut, at + LINE_CAP - this.restBytes));
        this.rest.push(Buffer.from(piece));
        this.restBytes += piece.length;
      }
      if (cut === data.length) {
        this.offset += cut - at;
        return;
      }
      this.offset += cut + 1 - at;
      this.finish(line);
      at = cut + 1;
    }
  }

  /** What came after the last line's end, when no more will come. */
  finish(line: (text: string, end: number) => void): void {
    if (this.restBytes > 0) {
      const text = (this.rest.length === 1 ? (this.rest[0] as Buffer) : Buffer.concat(this.rest)).toString("utf8");
      this.rest = [];
      this.restBytes = 0;
      line(text, this.offset);
    }
  }
}
