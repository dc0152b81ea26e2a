import { describe, expect, it } from "vitest";
import { classify, RULES, type Ending } from "./classify.ts";

function ending(part: Partial<Ending>): Ending {
  return { worker: "worker/0", node: "n0", rank: null, exitCode: null, signal: null, oom: false, lost: false, reason: null, tail: "", matched: [], ...part };
}

const RESET = "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:598] Connection closed by peer [127.0.0.1]:4711";

describe("classify", () => {
  it("puts a death by signal before a peer that lost its connection, whichever came first", () => {
    const peer = ending({ worker: "worker/1", node: "n1", exitCode: 1, tail: RESET });
    const victim = ending({ worker: "worker/0", signal: "SIGKILL" });
    for (const order of [
      [peer, victim],
      [victim, peer],
    ]) {
      const verdict = classify(order, []);
      expect(verdict).toMatchObject({ rule: "killed", class: "infrastructure", worker: "worker/0", node: "n0", signal: "SIGKILL" });
    }
  });

  it("reads the ranks out of torchrun's report, whose own exit code is always 1", () => {
    const tail = `${RESET}
============================================================
train.py FAILED
------------------------------------------------------------
Failures:
[1]:
  time      : 2026-11-23_17:00:01
  host      : node
  rank      : 1 (local_rank: 1)
  exitcode  : 1 (pid: 11)
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  rank      : 0 (local_rank: 0)
  exitcode  : -9 (pid: 10)
`;
    expect(classify([ending({ exitCode: 1, tail })], [])).toMatchObject({ rule: "killed", signal: "SIGKILL", exitCode: null });
  });

  it("calls a gang in which all only lost their peers unknown, and an error of the program the user's", () => {
    expect(classify([ending({ exitCode: 1, tail: RESET })], [])).toMatchObject({ class: "unknown", rule: "cascade" });
    const verdict = classify([ending({ exitCode: 1, tail: `Traceback\nValueError: batch 17 is empty\n` })], []);
    expect(verdict).toMatchObject({ class: "user", rule: "exit_code", action: "retry" });
    expect(verdict.evidence).toContain("ValueError: batch 17 is empty");
  });

  it("gives failures that differ only in numbers the same signature", () => {
    const of = (n: number): string => classify([ending({ exitCode: 1, tail: `ValueError: batch ${n} is empty` })], []).signature;
    expect(of(17)).toBe(of(18));
    expect(of(17)).not.toBe(classify([ending({ exitCode: 2, tail: "ValueError: batch 17 is empty" })], []).signature);
  });

  it.each([
    [ending({ lost: true, reason: "its node has booted since" }), "node_lost", "infrastructure", "exclude_node"],
    [ending({ exitCode: 93 }), "do_not_retry", "user", "fail"],
    [ending({ exitCode: 137, oom: true }), "out_of_memory", "user", "retry"],
    [ending({ exitCode: 1, tail: "torch.cuda.OutOfMemoryError: CUDA out of memory." }), "device_out_of_memory", "user", "retry"],
    [ending({ exitCode: 1, tail: "NVRM: Xid (PCI:0000:17:00): 79, GPU has fallen off the bus." }), "xid_79", "infrastructure", "exclude_node"],
    [ending({ exitCode: 1, tail: "NVRM: Xid (PCI:0000:17:00): 94, Contained ECC error" }), "xid_94", "infrastructure", "retry"],
    [ending({ exitCode: 1, tail: "NVRM: Xid (PCI:0000:17:00): 31, MMU Fault" }), "exit_code", "user", "retry"],
    [ending({ exitCode: 1, tail: "[ascend] device_id=3, event_id=0x80e18402" }), "ascend_80e18402", "infrastructure", "exclude_node"],
    [ending({ exitCode: 1, tail: "amdgpu: uncorrectable hardware errors detected in umc block" }), "amd_uncorrectable", "infrastructure", "exclude_node"],
    [ending({ exitCode: 1, tail: "OSError: [Errno 28] No space left on device" }), "disk_full", "infrastructure", "retry"],
    [ending({ signal: "SIGSEGV" }), "crash", "unknown", "retry"],
    [ending({ exitCode: 1, tail: "RuntimeError: NCCL error: remote process exited or there was a network error" }), "cascade", "unknown", "retry"],
    [ending({ exitCode: 1, tail: "RuntimeError: Unexpected error from cudaGetDeviceCount()." }), "device_error", "infrastructure", "exclude_node"],
    [ending({ exitCode: 1, tail: "OSError: [Errno 116] Stale file handle: '/data/shard-7'" }), "storage", "infrastructure", "retry"],
    [ending({ exitCode: 1, tail: "RuntimeError: CUDA error: unspecified launch failure" }), "device_unsure", "unknown", "retry"],
    [ending({ exitCode: 139 }), "crash", "unknown", "retry"],
    [ending({ exitCode: 137 }), "killed", "infrastructure", "retry"],
    [ending({ reason: "start_failed: no such interpreter" }), "start_failed", "infrastructure", "exclude_node"],
    [ending({ reason: "invalid: argv is empty" }), "start_refused", "user", "fail"],
  ] as const)("knows %#: %s", (one, rule, failureClass, action) => {
    expect(classify([one], [])).toMatchObject({ rule, class: failureClass, action });
  });

  it("asks the job's own rules first", () => {
    const rules = [
      { match: { exit_code: [33] }, action: "fail" as const },
      { match: { log: "link down" }, action: "exclude_node" as const },
    ];
    expect(classify([ending({ exitCode: 33 })], rules)).toMatchObject({ rule: "job rule 0", class: "user", action: "fail" });
    expect(classify([ending({ exitCode: 1, matched: [{ id: "1", line: "eth0: link down" }] })], rules)).toMatchObject({
      rule: "job rule 1",
      class: "infrastructure",
      action: "exclude_node",
      node: "n0",
    });
    expect(classify([ending({ exitCode: 1 })], rules)).toMatchObject({ rule: "exit_code" });
  });

  it("names each rule once, and answers even with no ending at all", () => {
    expect(new Set(RULES.map((rule) => rule.id)).size).toBe(RULES.length);
    expect(classify([], [])).toMatchObject({ class: "unknown", action: "retry" });
  });
});
