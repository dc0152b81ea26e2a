import { expect, test } from "vitest";
import { resolveJobSpec } from "./resolve.ts";

const job = { name: "handed", image: "train:1", nodes: 2, run: ["python3", "train.py", "${MUSTER_JOB_ID}"], launcher: "jobset" };
const wrong = (more: object): string[] => {
  const resolved = resolveJobSpec({ ...job, ...more });
  return resolved.ok ? [] : resolved.errors.map((error) => error.path);
};

test("a job is handed to an operator by its launcher's name, or with a runtime where there is one", () => {
  expect(wrong({})).toEqual([]);
  expect(wrong({ launcher: { kind: "trainjob", runtime: "torch-distributed" } })).toEqual([]);
  expect(wrong({ launcher: { kind: "jobset", runtime: "torch-distributed" } })).toEqual(["launcher.runtime"]);
});

test.each([
  [{ source: { git: "https://git.example/a.git", ref: "main" } }, "source"],
  [{ secrets: [{ env: "A", from: "a/b" }] }, "secrets"],
  [{ mounts: [{ at: "/data", from: "data" }] }, "mounts"],
  [{ checkpoint: { marker: "done" } }, "checkpoint"],
  [{ preflight: { run: ["check"] } }, "preflight"],
  [{ launcher: { kind: "mpijob", args: ["-v"] } }, "launcher.args"],
  [{ run: ["train", "--rank=${MUSTER_NODE_RANK}"] }, "run[1]"],
  [{ env: { OUT: "${MUSTER_CHECKPOINT_DIR}/x" } }, "env.OUT"],
])("what an operator's pods can't have is refused: %j", (more, path) => {
  expect(wrong(more)).toEqual([path]);
});
