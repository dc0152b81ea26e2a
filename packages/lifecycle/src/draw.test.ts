import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { drawStates } from "./draw.ts";

const FILE = new URL("../../../docs/lifecycle.md", import.meta.url);
const MARK = "<!-- generated below: DRAW=1 npx vitest run packages/lifecycle/src/draw.test.ts -->\n\n";

it("draws in docs/lifecycle.md what runs", () => {
  const text = readFileSync(FILE, "utf8");
  const head = text.slice(0, text.indexOf(MARK) + MARK.length);
  if (process.env["DRAW"]) writeFileSync(FILE, head + drawStates());
  expect(readFileSync(FILE, "utf8")).toBe(head + drawStates());
});
