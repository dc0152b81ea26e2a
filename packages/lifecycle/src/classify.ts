import type { FailureClass, RecoveryRule } from "@muster/model";
import { deviceRules } from "./device-errors.ts";
import { failedPreflight } from "./preflight.ts";

/*
 * What a failure was. Rules are data, looked at in order: the job's own, then these. A cascade (a peer that died of the
 * first death) never is the cause while something better is known.
 */

export const RULES_VERSION = 3;

/** How one process, or one rank of it, ended. */
export interface Ending {
  worker: string;
  node: string;
  rank: number | null;
  exitCode: number | null;
  signal: string | null;
  oom: boolean;
  lost: boolean;
  reason: string | null;
  /** Last lines of output. */
  tail: string;
  /** Ids of the job's log rules that matched. */
  matched: { id: string; line: string }[];
}

export type Action = "retry" | "exclude_node" | "fail" | "ignore" | "rollback";

export interface Verdict {
  class: FailureClass;
  rule: string;
  action: Action;
  message: string;
  worker: string | null;
  node: string | null;
  exitCode: number | null;
  signal: string | null;
  /** Equal for failures that look the same: what a second user error is compared by. */
  signature: string;
  evidence: string[];
}

export interface Rule {
  id: string;
  /** Higher outranks lower when ranks of one gang tell different stories. */
  weight: number;
  match: (ending: Ending) => string | undefined;
  class: FailureClass;
  action: Action;
  message: string;
}

const line = (pattern: RegExp) => (ending: Ending) => ending.tail.split("\n").findLast((text) => pattern.test(text));
const CASCADE =
  /remote process exited or there was a network error|nccl(Remote|System|Internal)Error|Connection (closed|reset) by peer|Broken pipe|Timed out waiting \d+ms|NCCL.*(timeout|watchdog|abort|unhandled system error)|HCCL.*timeout|watchdog caught collective/i;

export const RULES: readonly Rule[] = [
  {
    id: "do_not_retry",
    weight: 100,
    match: (e) => (e.exitCode === 93 ? "exit code 93 asks for no restart" : undefined),
    class: "user",
    action: "fail",
    message: "the job asked not to be restarted (exit code 93)",
  },
  {
    id: "preflight",
    weight: 97,
    match: (e) => failedPreflight(e.exitCode, e.tail),
    class: "infrastructure",
    action: "exclude_node",
    message: "the check before the start failed",
  },
  {
    id: "start_refused",
    weight: 95,
    match: (e) => (e.reason?.startsWith("invalid:") ? e.reason : undefined),
    class: "user",
    action: "fail",
    message: "a worker can't be started as it is described",
  },
  {
    id: "fenced",
    weight: 92,
    match: (e) => (/^(stale|newer_known):/.test(e.reason ?? "") ? (e.reason ?? undefined) : undefined),
    class: "infrastructure",
    action: "retry",
    message: "an engine knew a newer attempt than the database",
  },
  {
    id: "node_lost",
    weight: 90,
    match: (e) => (e.lost ? (e.reason ?? "confirmed dead without an exit record") : undefined),
    class: "infrastructure",
    action: "exclude_node",
    message: "a node was lost",
  },
  ...deviceRules("exclude_node", 85),
  {
    id: "device_error",
    weight: 85,
    match: line(/uncorrectable (ECC|NVLink)|port is not active|cudaGetDeviceCount|No CUDA GPUs are available|fallen off the bus/i),
    class: "infrastructure",
    action: "exclude_node",
    message: "a device reported an error",
  },
  {
    id: "out_of_memory",
    weight: 80,
    match: (e) => (e.oom ? "the memory limit of the worker was reached" : undefined),
    class: "user",
    action: "retry",
    message: "a worker ran out of memory",
  },
  {
    id: "device_out_of_memory",
    weight: 78,
    match: line(/CUDA out of memory|CUBLAS_STATUS_ALLOC_FAILED|NPU out of memory|HIP out of memory/),
    class: "user",
    action: "retry",
    message: "a device ran out of memory",
  },
  { id: "disk_full", weight: 75, match: line(/No space left on device/), class: "infrastructure", action: "retry", message: "a disk is full" },
  {
    id: "killed",
    weight: 70,
    match: (e) => (/^SIG(KILL|TERM)$/.test(signalOf(e)) ? `ended by ${signalOf(e)} from outside` : undefined),
    class: "infrastructure",
    action: "retry",
    message: "a process was killed from outside",
  },
  {
    id: "crash",
    weight: 60,
    match: (e) => (/^SIG(SEGV|ABRT|BUS|ILL|FPE)$/.test(signalOf(e)) ? `ended by ${signalOf(e)}` : undefined),
    class: "unknown",
    action: "retry",
    message: "a process crashed",
  },
  {
    id: "start_failed",
    weight: 55,
    match: (e) => (e.reason && e.exitCode === null && e.signal === null ? e.reason : undefined),
    class: "infrastructure",
    action: "exclude_node",
    message: "a worker could not be started",
  },
  // got over, so that it may but need not be why the process ended
  ...deviceRules("retry", 45),
  { id: "storage", weight: 50, match: line(/\[Errno (5|30|110|116)\]/), class: "infrastructure", action: "retry", message: "storage failed" },
  {
    id: "device_unsure",
    weight: 50,
    match: line(/CUDA error: (unknown error|unspecified launch failure)/),
    class: "unknown",
    action: "retry",
    message: "a device failed, and whether by itself isn't known",
  },
  { id: "loss_nan", weight: 50, match: line(/loss is NaN/i), class: "unknown", action: "retry", message: "the loss is not a number" },
  {
    id: "cascade",
    weight: 10,
    match: (e) => (e.exitCode !== 0 ? line(CASCADE)(e) : undefined),
    class: "unknown",
    action: "retry",
    message: "a process lost its peers, and what ended them isn't known",
  },
  {
    id: "exit_code",
    weight: 40,
    match: (e) => (e.exitCode !== null && e.exitCode !== 0 ? `exit code ${e.exitCode}` : undefined),
    class: "user",
    action: "retry",
    message: "a process ended with an error",
  },
  { id: "unknown", weight: 0, match: () => "how it ended isn't known", class: "unknown", action: "retry", message: "a worker ended, and how isn't known" },
];

/**
 * Looks at every ending of the gang before it names a cause.
 * @param endings those that ended by themselves, in the order in which they ended
 * @param rules the job's own
 */
export function classify(endings: readonly Ending[], rules: readonly RecoveryRule[], table: readonly Rule[] = RULES): Verdict {
  const own = endings
    .flatMap((ending) => rules.map((rule, index) => ({ ending, rule, index, evidence: matchOwn(rule, index, ending) })))
    .find((one) => one.evidence !== undefined);
  if (own) {
    const { ending, rule, index, evidence } = own;
    const infrastructure = rule.action === "exclude_node";
    return verdict(ending, `job rule ${index}`, infrastructure ? "infrastructure" : "user", rule.action, "a rule of the job matched", [evidence as string]);
  }
  let best: { ending: Ending; rule: Rule; evidence: string } | undefined;
  for (const ending of endings.flatMap(ranksOf)) {
    for (const rule of table) {
      const evidence = rule.match(ending);
      if (evidence === undefined) continue;
      if (!best || rule.weight > best.rule.weight) best = { ending, rule, evidence };
      break;
    }
  }
  if (!best)
    return {
      class: "unknown",
      rule: "unknown",
      action: "retry",
      message: "nothing is known of the failure",
      worker: null,
      node: null,
      exitCode: null,
      signal: null,
      signature: "unknown",
      evidence: [],
    };
  return verdict(best.ending, best.rule.id, best.rule.class, best.rule.action, best.rule.message, [
    best.evidence.trim().slice(0, 500),
    ...lastError(best.ending),
  ]);
}

function verdict(ending: Ending, rule: string, failureClass: FailureClass, action: Action, message: string, evidence: string[]): Verdict {
  const error = lastError(ending)[0] ?? "";
  return {
    class: failureClass,
    rule,
    action,
    message: ending.rank === null ? `${message} (${ending.worker})` : `${message} (${ending.worker}, rank ${ending.rank})`,
    worker: ending.worker,
    node: ending.node,
    exitCode: ending.exitCode,
    signal: ending.signal,
    signature: `${rule}:${ending.exitCode ?? ending.signal ?? ""}:${error.replace(/\d+/g, "#").slice(0, 200)}`,
    evidence: [...new Set(evidence)],
  };
}

function matchOwn(rule: RecoveryRule, index: number, ending: Ending): string | undefined {
  const { exit_code: codes, signal, log } = rule.match;
  const facts: string[] = [];
  if (codes) {
    if (ending.exitCode === null || !codes.includes(ending.exitCode)) return undefined;
    facts.push(`exit code ${ending.exitCode}`);
  }
  if (signal) {
    if (ending.signal === null || !signal.includes(ending.signal)) return undefined;
    facts.push(ending.signal);
  }
  if (log !== undefined) {
    const found = ending.matched.find((one) => one.id === String(index));
    if (!found) return undefined;
    facts.push(found.line.slice(0, 500));
  }
  return facts.join("; ");
}

/** The signal that ended it; a shell says so of its child by an exit code of 128 and the number. */
export function signalOf(ending: Ending): string {
  return ending.signal ?? SIGNAL_NAMES[(ending.exitCode ?? 0) - 128] ?? "";
}

const SIGNAL_NAMES: Record<number, string> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  4: "SIGILL",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  15: "SIGTERM",
};

/**
 * A framework's own launcher ends with 1 whatever happened; what its ranks did stands in its report
 * (torchrun: `rank : 3 (local_rank: 1)` ... `exitcode : -9 (pid: 77)`).
 */
export function ranksOf(ending: Ending): Ending[] {
  const reported = [...ending.tail.matchAll(/rank\s*:\s*(\d+)\s*\(local_rank:\s*\d+\)\s*\n\s*exitcode\s*:\s*(-?\d+)\s*\(pid:\s*\d+\)/g)];
  if (reported.length === 0) return [ending];
  return reported.map((part) => {
    const code = Number(part[2]);
    return { ...ending, rank: Number(part[1]), exitCode: code >= 0 ? code : null, signal: code < 0 ? (SIGNAL_NAMES[-code] ?? `signal ${-code}`) : null };
  });
}

function lastError(ending: Ending): string[] {
  const error = ending.tail.split("\n").findLast((text) => /^\s*(\[\w+\]:)?\s*[\w.]*(Error|Exception)\b.*:/.test(text) && !/ChildFailedError/.test(text));
  return error ? [error.trim().slice(0, 500)] : [];
}
