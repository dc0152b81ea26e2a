import { expect, test } from "vitest";
import { Ports } from "./ports.ts";

test("live attempts at one address never share a port, and an attempt gets the same one again", () => {
  const ports = new Ports();
  const given = new Set<number>();
  for (let job = 0; job < 5000; job++) {
    const port = ports.choose("127.0.0.1", `job${job}`, 1);
    expect(port >= 20_000 && port < 60_000).toBe(true);
    given.add(port);
    ports.take("127.0.0.1", port);
  }
  expect(given.size).toBe(5000);
  const first = new Ports().choose("a", "job", 1);
  expect(new Ports().choose("b", "job", 1)).toBe(first);
  expect(new Ports().choose("a", "job", 2)).not.toBe(first);
  ports.give("127.0.0.1", first);
  expect(ports.choose("127.0.0.1", "job", 1)).toBe(first);
});
