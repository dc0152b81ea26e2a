import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SseReader } from "./sse.ts";
import type { SseMessage } from "./sse.ts";

const FEED = ': hello\n\nretry: 2500\n\nid: 7-1\nevent: change\ndata: {"a":1}\ndata: second\r\n\r\ndata:no space\rid\r\rnot a field\ndata: last\n\n';
const readAll = (chunks: readonly string[]): { messages: SseMessage[]; retry: number | undefined } => {
  const reader = new SseReader();
  return { messages: chunks.flatMap((chunk) => reader.push(chunk)), retry: reader.retry };
};

describe("text/event-stream", () => {
  test("is read as the standard says", () => {
    const { messages, retry } = readAll([FEED]);
    expect(messages).toEqual([
      { id: undefined, event: "comment", data: "hello", comment: true },
      { id: "7-1", event: "change", data: '{"a":1}\nsecond', comment: false },
      { id: "", event: "message", data: "no space", comment: false },
      { id: "", event: "message", data: "last", comment: false },
    ]);
    expect(retry).toBe(2500);
  });

  test("does not depend on where chunks are cut", () => {
    const whole = readAll([FEED]);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: FEED.length }), { maxLength: 12 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), FEED.length];
        expect(readAll(places.slice(1).map((end, index) => FEED.slice(places[index], end)))).toEqual(whole);
      }),
    );
  });

  test("holds back a message that is not ended", () => expect(readAll(["id: 1\ndata: x\n"]).messages).toEqual([]));
});
