import { describe, expect, test } from "vitest";
import { LineCutter, LINE_CAP } from "./lines.ts";
import { linePattern } from "./patterns.ts";
import { parseProgressLine, progressParser } from "./progress-presets.ts";
import { reportedRanks } from "./rank-exits.ts";

describe("presets", () => {
  test.each([
    ["muster", "step=120/1000 loss=2.31 rate=14.2", { step: 120, total: 1000, loss: 2.31, rate: 14.2 }],
    ["muster", "[rank0] step=7 loss=nan", { step: 7, loss: null }],
    ["muster", "phase=evaluation", { phase: "evaluation" }],
    ["muster", "loading 12 shards", undefined],
    [
      "megatron",
      " [2026-01-02 03:04:05] iteration      120/    1000 | consumed samples:        30720 | elapsed time per iteration (ms): 500.0 | learning rate: 1.5E-04 | global batch size:   256 | lm loss: 2.310000E+00 | loss scale: 1.0 |",
      { step: 120, total: 1000, loss: 2.31, rate: 2 },
    ],
    ["megatron", " validation loss at iteration 100 | lm loss value: 2.1E+00 |", undefined],
    [
      "deepspeed",
      "[2026-01-02 03:04:05,678] [INFO] [timer.py:260:stop] epoch=0/micro_step=240/global_step=120, RunningAvgSamplesPerSec=31.25, CurrSamplesPerSec=30.1, MemAllocated=1.2GB",
      { step: 120, rate: 31.25 },
    ],
    ["deepspeed", "[2026-01-02 03:04:05,678] [INFO] [logging.py:96:log_dist] [Rank 0] step=120, skipped=0, lr=[0.0001], mom=[(0.9, 0.999)]", { step: 120 }],
    ["deepspeed", "steps: 120 loss: 2.3100 iter time (s): 0.500 samples/sec: 64.0", { step: 120, loss: 2.31, rate: 2 }],
    ["transformers", " 12%|█▏        | 120/1000 [01:00<07:20,  2.00it/s]", { step: 120, total: 1000, rate: 2 }],
    ["transformers", "{'loss': 2.31, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': 0.12}", { loss: 2.31 }],
    ["torchtitan", "[titan] INFO - step: 120  loss:  2.3100  memory: 40.00GiB(50.00%)  tps: 3,200  mfu: 40.00%", { step: 120, loss: 2.31, rate: 3200 }],
    ["torchtitan", "\u001b[31mstep: 120\u001b[32m  loss:  2.3100\u001b[39m", { step: 120, loss: 2.31 }],
  ])("%s reads %j", (preset, line, expected) => {
    expect(progressParser({ preset })(line)).toEqual(expected);
  });

  test("a pattern's named groups", () => {
    expect(progressParser({ pattern: "it (?<step>\\d+) of (?<total>\\d+): (?<loss>\\S+)" })("it 5 of 9: 0.5")).toEqual({ step: 5, total: 9, loss: 0.5 });
  });

  test("lines of the progress file", () => {
    expect(parseProgressLine('{"step": 5, "total": "9", "loss": null, "phase": "warm-up", "x": {}}')).toEqual({
      step: 5,
      total: 9,
      loss: null,
      phase: "warm-up",
    });
    for (const line of ["", "[]", "null", "5", '{"step": -1}', '{"step": 1e400}', '{"phase": "<b>"}', '{"step": {"a": 1}}'])
      expect(parseProgressLine(line)).toBeUndefined();
  });
});

describe("users' patterns", () => {
  test("one that would take a backtracking matcher for ever is answered", () => {
    const pattern = linePattern("^(a+)+(b|(?<step>c))*$");
    expect(pattern.test(`${"a".repeat(4000)}!`)).toBe(false);
  });

  test.each(["(?=x)y", "(?<!a)b", "(a)\\1"])("%s needs backtracking, and is refused", (text) => {
    expect(() => linePattern(text)).toThrow("can't be matched in linear time");
  });
});

describe("lines", () => {
  const cut = (chunks: string[], from = 0): [string, number][] => {
    const lines: [string, number][] = [];
    const cutter = new LineCutter(from);
    for (const chunk of chunks) cutter.push(Buffer.from(chunk), (text, end) => lines.push([text, end]));
    return lines;
  };

  test("are put together from pieces, with the offset of their end", () => {
    expect(cut(["on", "e\ntw", "o\n\nthree"], 100)).toEqual([
      ["one", 104],
      ["two", 108],
    ]);
  });

  test("a carriage return ends one too", () => {
    expect(cut(["10%\r20%\r\n30%\r"]).map(([text]) => text)).toEqual(["10%", "20%", "30%"]);
  });

  test("too long, they are cut, and the next one is whole", () => {
    const lines = cut(["x".repeat(LINE_CAP), "y".repeat(50_000), "\nnext\n"]);
    expect(lines.map(([text]) => text.length)).toEqual([LINE_CAP, 4]);
    expect(lines.at(-1)?.[1]).toBe(LINE_CAP + 50_000 + 6);
  });
});

describe("what launchers say of their ranks", () => {
  test("torchrun's report", () => {
    const report = `============================================================
train.py FAILED
------------------------------------------------------------
Failures:
[1]:
  time      : 2026-01-02_03:04:05
  host      : node-b
  rank      : 3 (local_rank: 1)
  exitcode  : -9 (pid: 4242)
  error_file: <N/A>
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-01-02_03:04:05
  host      : node-b
  rank      : 2 (local_rank: 0)
  exitcode  : 1 (pid: 4241)
`;
    expect(reportedRanks(report)).toEqual([
      { rank: 3, exitCode: null, signal: "SIGKILL" },
      { rank: 2, exitCode: 1, signal: null },
    ]);
  });

  test("mpirun's notices", () => {
    expect(reportedRanks("mpirun noticed that process rank 1 with PID 0 on node node-b exited on signal 9 (Killed).\n")).toEqual([
      { rank: 1, exitCode: null, signal: "SIGKILL" },
    ]);
    expect(reportedRanks("  Process name: [[12345,1],0]\n  Exit code:    3\n")).toEqual([{ rank: 0, exitCode: 3, signal: null }]);
  });
});
