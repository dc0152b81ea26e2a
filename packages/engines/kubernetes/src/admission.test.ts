import { expect, it } from "vitest";
import { admission, type Known } from "./admission.ts";
import { someStart } from "./testing/objects.ts";

const start = { ...someStart(), incarnation: "7", attempt: 2 };
const fence = (attempt: number, closed = false): { incarnation: string; attempt: number; closed: boolean } => ({ incarnation: "7", attempt, closed });
const knowing = (more: { fence?: ReturnType<typeof fence>; incarnation?: string; never?: boolean } = {}, rest: Partial<Known> = {}): Known => ({
  fences: { get: () => more.fence, isNever: () => more.never ?? false, incarnation: more.incarnation ?? "7" },
  has: () => false,
  node: () => true,
  forbidden: () => undefined,
  ...rest,
});

it("lets a start go ahead that is newer than all that is known of its job, or as new and not over", () => {
  expect(admission(start, knowing())).toBe("go");
  expect(admission(start, knowing({ fence: fence(1, true) }))).toBe("go");
  expect(admission(start, knowing({ fence: fence(2) }))).toBe("go");
});

it("says nothing of a start that is known", () => {
  expect(admission(start, knowing({}, { has: () => true }))).toEqual([]);
});

it.each([
  ["was stopped before", knowing({ never: true }), [{ code: "stale", reason: "it was stopped before it was started" }]],
  ["has ended", knowing({ fence: fence(2, true) }), [{ code: "stale", reason: "the attempt has ended and is recorded" }]],
  [
    "is older",
    knowing({ fence: fence(3) }),
    [
      { code: "stale", reason: "an older attempt" },
      { kind: "newer_known", attempt: 3 },
    ],
  ],
  ["is of an older incarnation", knowing({ incarnation: "8" }), [{ code: "newer_known" }, { kind: "newer_known", incarnation: "8" }]],
  ["names no node of these pools", knowing({}, { node: () => false }), [{ code: "no_such_node", reason: `no node ${start.node}` }]],
  ["asks for what isn't allowed", knowing({}, { forbidden: () => "not that" }), [{ code: "invalid", reason: "not that" }]],
] as const)("refuses a start that %s", (_, known, news) => {
  expect(admission(start, known)).toMatchObject(news);
});
