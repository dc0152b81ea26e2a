import { describe, expect, test } from "vitest";
import { LogTail } from "./log-tail.ts";

function tail(): { tail: LogTail; told: string[]; steps: number[] } {
  const told: string[] = [];
  const steps: number[] = [];
  const events = {
    progress: ({ step }: { step?: number }) => void steps.push(step as number),
    commit: () => {},
    matched: () => {},
    told: (verb: string, rest: string) => void told.push(`${verb} ${rest}`),
  };
  return { tail: new LogTail({ progress: { preset: "muster" }, watch: [] }, events), told, steps };
}
const at = (second: number, text: string): string => `2026-11-27T15:00:${String(second).padStart(2, "0")}.000000000Z ${text}`;
const all = (one: LogTail): string => one.read(0, 1 << 20)?.toString() ?? "gone";

describe("a followed log", () => {
  test("times and the shim's own lines are no output, wherever they stand and however they arrive", () => {
    const { tail: one, told, steps } = tail();
    const text = `${at(1, "step=1/9\n")}${at(2, '50%|##\u001emuster progress {"step":7}\n')}${at(3, "last")}`;
    for (const byte of Buffer.from(text)) one.push(Buffer.from([byte]));
    one.end();
    expect(all(one)).toBe("step=1/9\n50%|##last");
    expect(one.size).toBe(19);
    expect(told).toEqual(['progress {"step":7}']);
    expect(steps).toEqual([1]);
  });

  test("read again from its last second, gives no line twice and loses none", () => {
    const { tail: one } = tail();
    one.push(Buffer.from(`${at(1, "a\n")}${at(2, "b\n")}${at(2, "c\n")}${at(2, "half")}`));
    one.reopen();
    one.push(Buffer.from(`${at(2, "b\n")}${at(2, "c\n")}${at(2, "half done\n")}${at(3, "d\n")}`));
    one.end();
    expect(all(one)).toBe("a\nb\nc\nhalf done\nd\n");
  });

  test("what was fetched long ago is let go, and reading waits for whoever fetches", async () => {
    const { tail: one } = tail();
    const line = `${"x".repeat(9_999)}\n`;
    for (let i = 0; i < 600; i++) one.push(Buffer.from(line));
    let room = false;
    const waiting = (async () => {
      await one.room();
      room = true;
    })();
    await Promise.resolve();
    expect(room).toBe(false);
    expect(one.read(5_000_000, 1_000_000)?.length).toBe(1_000_000);
    await waiting;
    expect(one.read(0, 10)).toBeUndefined();
    expect(one.read(5_999_990, 100)?.toString()).toBe("xxxxxxxxx\n");
  });
});
