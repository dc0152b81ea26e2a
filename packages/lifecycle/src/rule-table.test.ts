import { describe, expect, it } from "vitest";
import { classify, type Ending } from "./classify.ts";
import { ruleTable, shadowMatches } from "./rule-table.ts";

function ending(part: Partial<Ending>): Ending {
  return { worker: "worker/0", node: "n0", rank: null, exitCode: null, signal: null, oom: false, lost: false, reason: null, tail: "", matched: [], ...part };
}

const linkDown = { id: "link_down", match: { log: "port \\d+ down" }, class: "infrastructure", action: "exclude_node" } as const;
const broken = ending({ exitCode: 1, tail: "mlx5_0: port 1 down\nValueError: no data" });

describe("a cluster's rules", () => {
  it("stand before the built-in ones, and after a job's own", () => {
    const table = ruleTable([linkDown]);
    expect(classify([broken], [], table)).toMatchObject({ rule: "link_down", class: "infrastructure", action: "exclude_node", node: "n0" });
    expect(classify([broken], [])).toMatchObject({ rule: "exit_code" });
    expect(classify([broken], [{ match: { exit_code: [1] }, action: "fail" }], table)).toMatchObject({ rule: "job rule 0" });
    expect(classify([ending({ exitCode: 1 })], [], table)).toMatchObject({ rule: "exit_code" });
  });

  it("change a built-in one by its id, or turn it off", () => {
    expect(classify([ending({ signal: "SIGSEGV" })], [], ruleTable([{ id: "crash", class: "infrastructure", action: "exclude_node" }]))).toMatchObject({
      rule: "crash",
      class: "infrastructure",
      action: "exclude_node",
      message: "a process crashed (worker/0)",
    });
    const contained = ending({ exitCode: 1, tail: "NVRM: Xid (PCI:0000:17:00): 94, Contained ECC error" });
    expect(classify([contained], [], ruleTable([{ id: "xid_94", action: "exclude_node" }]))).toMatchObject({ rule: "xid_94", action: "exclude_node" });
    expect(classify([contained], [], ruleTable([{ id: "xid_94", off: true }]))).toMatchObject({ rule: "exit_code" });
    expect(classify([ending({ exitCode: 93 })], [], ruleTable([{ id: "do_not_retry", off: true }]))).toMatchObject({ rule: "exit_code", action: "retry" });
  });

  it("need all that they name", () => {
    const table = ruleTable([{ id: "both", match: { exit_code: [1], log: "no data" } }]);
    expect(classify([broken], [], table)).toMatchObject({ rule: "both", class: "user" });
    expect(classify([{ ...broken, exitCode: 2 }], [], table)).toMatchObject({ rule: "exit_code" });
  });

  it("only say what they would have matched while in shadow", () => {
    const shadow = [{ ...linkDown, shadow: true }, { id: "crash", class: "user", shadow: true } as const];
    expect(classify([broken], [], ruleTable(shadow))).toEqual(classify([broken], []));
    expect(shadowMatches([broken], shadow)).toEqual([
      { rule: "link_down", class: "infrastructure", action: "exclude_node", worker: "worker/0", node: "n0", evidence: "mlx5_0: port 1 down" },
    ]);
    expect(shadowMatches([ending({ signal: "SIGSEGV" })], shadow)).toMatchObject([{ rule: "crash", class: "user" }]);
    expect(shadowMatches([broken], [{ ...linkDown, shadow: true, off: true }, linkDown])).toEqual([]);
  });
});
