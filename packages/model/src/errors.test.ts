import { expect, it } from "vitest";
import { resolveJobSpec } from "./resolve.ts";

const job = { name: "a", run: ["true"] };

it.each<[string, object, string, RegExp | string]>([
  ["an empty command", { run: [""] }, "run", "expected a command as the first word"],
  ["a number where text belongs", { env: { PORT: 8080 } }, "env.PORT", 'expected text: put it in quotes, such as "1"'],
  ["a name that no variable can have", { env: { "1A": "x" } }, "env.1A", /^as a name: expected a name of letters/],
  ["what others call devices", { resources: { gpus: 8 } }, "resources.gpus", "unknown field; did you mean accelerators?"],
  ["what others call nodes", { replicas: 2 }, "replicas", "unknown field; did you mean nodes?"],
  ["a short field that is like no other", { a: 1 }, "a", "unknown field; remove it or check its spelling"],
  ["a job to wait for that is no object", { after: ["first"] }, "after[0]", "expected {job: NAME or ID, on: succeeded}"],
  ["a time in words", { start_after: "tomorrow" }, "start_after", "expected a time such as 2026-12-01T08:00:00Z"],
  ["a time that no database keeps", { start_after: "0000-01-01T00:00:00Z" }, "start_after", "expected a time after 1970"],
  ["a secret outside of the project's", { secrets: [{ env: "A", from: "../other/key" }] }, "secrets[0].from", /must not contain/],
  ["a mount outside of volumes", { mounts: [{ at: "/data", from: "data/../.." }] }, "mounts[0].from", /must not contain/],
  ["less of a cpu than can be given", { resources: { cpus: 0.00001 } }, "resources.cpus", /0\.001/],
])("%s is refused, with the field and what to do", (_, change, path, message) => {
  const resolved = resolveJobSpec({ ...job, ...change });
  const errors = resolved.ok ? [] : resolved.errors;
  expect(errors.map((error) => error.path)).toEqual([path]);
  expect(errors[0]?.message).toMatch(message);
});
