import type { Verdict } from "./classify.ts";

/** Three ledgers, never one counter. */
export interface Ledgers {
  user: number;
  infrastructure: number;
  unknown: number;
}

export interface RestartInput {
  verdict: Verdict;
  /** Counts before this failure, from the last progress. */
  ledgers: Ledgers;
  maxRestarts: number;
  /** Whether a newer commit was accepted since the failure before this one. */
  progressed: boolean;
  /** Signature of the failure before this one. */
  previousSignature: string | null;
}

export interface RestartDecision {
  restart: boolean;
  ledgers: Ledgers;
  /** Seconds to wait before the next start. */
  backoff: number;
  why: string;
}

const UNKNOWN_LIMIT = 3;
const BACKOFF_BASE = 10;
const BACKOFF_CAP = 300;

/** Whether the job starts again, and when. Only what is the user's own counts against `max_restarts`. */
export function decideRestart({ verdict, ledgers, maxRestarts, progressed, previousSignature }: RestartInput): RestartDecision {
  const counted: Ledgers = progressed ? { user: 0, infrastructure: 0, unknown: 0 } : ledgers;
  const give = (why: string, next: Ledgers): RestartDecision => ({ restart: false, ledgers: next, backoff: 0, why });
  const again = (why: string, next: Ledgers, earlier: number): RestartDecision => ({ restart: true, ledgers: next, backoff: backoffAfter(earlier), why });
  if (verdict.action === "fail") return give("it is not tried again", { ...counted, user: counted.user + 1 });
  if (verdict.class === "preempted" || verdict.class === "transient" || verdict.action === "ignore") return again("not counted", counted, 0);
  if (verdict.class === "user") {
    const next = { ...counted, user: counted.user + 1 };
    if (!progressed && previousSignature === verdict.signature) return give("the same error came twice with no new checkpoint between", next);
    if (next.user > maxRestarts) return give(`max_restarts is ${maxRestarts}, and this is error ${next.user} without a new checkpoint`, next);
    return again(`error ${next.user} of at most ${maxRestarts} without a new checkpoint that are restarted`, next, counted.user);
  }
  if (verdict.class === "unknown") {
    const next = { ...counted, unknown: counted.unknown + 1 };
    if (next.unknown > UNKNOWN_LIMIT) return give(`${next.unknown} unexplained failures in a row with no new checkpoint`, next);
    return again(`unexplained failure ${next.unknown} of at most ${UNKNOWN_LIMIT} without progress`, next, counted.unknown);
  }
  const next = { ...counted, infrastructure: counted.infrastructure + 1 };
  return again("infrastructure failed, which costs the job nothing", next, counted.infrastructure);
}

/**
 * What isn't the user's and ends on the same node twice with no new checkpoint between is the node's: the next attempt leaves it
 * out, whatever the rule alone would do. A kill from outside is somebody's doing, and says nothing of the node.
 */
export function escalate(verdict: Verdict, previousNode: string | null, progressed: boolean): Verdict {
  if (
    verdict.class === "user" ||
    verdict.rule === "killed" ||
    verdict.action !== "retry" ||
    progressed ||
    verdict.node === null ||
    verdict.node !== previousNode
  )
    return verdict;
  return { ...verdict, action: "exclude_node", message: `${verdict.message}, twice on ${verdict.node} with no new checkpoint between` };
}

/** Nothing after a first failure, then 10 s doubling to 5 min. */
export function backoffAfter(earlier: number): number {
  return earlier === 0 ? 0 : Math.min(BACKOFF_CAP, BACKOFF_BASE * 2 ** (earlier - 1));
}
