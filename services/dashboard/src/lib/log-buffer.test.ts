import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { appendLog, cleanLine, emptyLog, findLines, gravity, prependLog, wholeLines } from "./log-buffer.ts";
import type { LogPiece, LogState } from "./log-buffer.ts";

const piece = (offset: number, text: string): LogPiece => ({ offset, next: offset + text.length, text });
const read = (pieces: readonly LogPiece[], limit?: number): LogState => pieces.reduce((state, item) => appendLog(state, item, limit), emptyLog);

describe("a log that is followed", () => {
  test("is the same however it was cut", () => {
    const text = "one\ntwo\n\nthree is longer\nlast without end";
    fc.assert(
      fc.property(fc.array(fc.nat({ max: text.length }), { maxLength: 8 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), text.length];
        const state = read(places.slice(1).map((end, index) => piece(places[index] ?? 0, text.slice(places[index], end))));
        expect(state.lines).toEqual(text.split("\n"));
        expect(state).toMatchObject({ first: 0, next: text.length, partial: true });
      }),
    );
  });

  test("does not repeat what a new connection sends again", () =>
    expect(read([piece(0, "a\nb\n"), piece(0, "a\nb\n"), piece(4, "c\n")]).lines).toEqual(["a", "b", "c"]));
  test("begins anew behind a gap", () => expect(read([piece(0, "a\n"), piece(10, "z\n")])).toMatchObject({ lines: ["z"], first: 10 }));

  test("forgets the oldest lines beyond its limit, and counts them", () => {
    expect(read([piece(0, "a\nb\nc\n"), piece(6, "d\n")], 3)).toMatchObject({ lines: ["b", "c", "d"], dropped: 1 });
  });

  test("takes older lines in front when they meet it", () => {
    const state = read([piece(20, "c\nd\n")]);
    expect(prependLog(state, { offset: 16, next: 20, text: "a\nb\n" })).toMatchObject({ lines: ["a", "b", "c", "d"], first: 16 });
    expect(prependLog(state, { offset: 10, next: 16, text: "far\n" })).toBe(state);
  });
});

test("bytes cut anywhere begin with a whole line and a whole character", () => {
  const bytes = new TextEncoder().encode("é1\nüber\nx");
  expect(wholeLines(100, bytes.subarray(1))).toEqual({ offset: 104 - 1, next: 100 + bytes.length - 1, text: "über\nx" });
  expect(wholeLines(0, bytes).text).toBe("é1\nüber\nx");
});

describe("a line", () => {
  test.each([
    ["\u001B[31mred\u001B[0m text", "red text"],
    ["10%\r50%\r100%", "100%"],
    ["dos\r", "dos"],
    ["\u001B]0;title\u0007shown", "shown"],
    ["tab\tkept", "tab\tkept"],
    ["bell\u0007", "bell"],
  ])("%j is shown as %j", (line, shown) => expect(cleanLine(line)).toBe(shown));

  test("is marked by how bad it sounds", () => {
    expect(
      ["RuntimeError: x", "Traceback (most recent call last):", "torch.cuda.OutOfMemoryError", "UserWarning: slow", "WARNING: slow", "step 3 loss 1.2"].map(
        gravity,
      ),
    ).toEqual([undefined, "bad", undefined, undefined, "warn", undefined]);
  });

  test("is found in either case", () => {
    expect(findLines(["Loss 1", "step", "final LOSS"], "loss")).toEqual([0, 2]);
    expect(findLines(["a"], "")).toEqual([]);
  });
});
