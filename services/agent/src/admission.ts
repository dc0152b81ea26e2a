import { compareFence, type RefusalCode, type WorkerKey, type WorkerStart } from "@muster/engine";
import type { AgentConfig } from "./config.ts";
import { workerName, workerOf } from "./keys.ts";
import type { Ledger, News } from "./ledger.ts";
import { checkOutputSpec } from "@muster/output";

/* Whether a start may go ahead: the fence first, then what can be told without making anything. */

export type Verdict = { kind: "start" } | { kind: "known" } | { kind: "refuse"; news: News[] };

export function judgeStart(ledger: Ledger, config: AgentConfig, start: WorkerStart, refusing: ReadonlySet<string>): Verdict {
  const known = ledger.workers.get(workerName(start));
  if (known?.record.id === 0) return refuse(start, "stale", "it was stopped before it was started");
  if (known) return { kind: "known" };
  const fence = ledger.fence(start.job);
  const newest = fence ?? { incarnation: ledger.incarnation, attempt: 0 };
  const newer = (): News => ({ kind: "newer_known", job: start.job, incarnation: newest.incarnation, attempt: newest.attempt });
  if (BigInt(start.incarnation) < BigInt(ledger.incarnation)) {
    return refuse(
      start,
      "newer_known",
      `the command is of incarnation ${start.incarnation}, but this agent knows ${ledger.incarnation}; begin a new incarnation if the store was restored from a backup`,
      [newer()],
    );
  }
  if (fence) {
    const order = compareFence(start, fence);
    if (order < 0) return refuse(start, "stale", `attempt ${start.attempt} is older than attempt ${fence.attempt} of this job`, [newer()]);
    if (order === 0 && fence.closed) return refuse(start, "stale", `attempt ${start.attempt} has ended and is recorded`);
  }
  if (!config.nodes.some((node) => node.name === start.node)) return refuse(start, "no_such_node", `this agent keeps no node ${start.node}`);
  if (refusing.has(start.node)) return refuse(start, "start_failed", `node ${start.node} was told to refuse starts`);
  if (start.delegated) return refuse(start, "invalid", `launcher ${start.delegated.kind} needs a pool on Kubernetes; name one in pool`);
  try {
    checkOutputSpec({
      progress: start.progress,
      watch: start.watch,
      ...(start.checkpoint.committed !== undefined && { committed: start.checkpoint.committed }),
    });
  } catch (error) {
    return refuse(start, "invalid", (error as Error).message);
  }
  for (const mount of start.mounts) {
    if (process.getuid?.() !== 0) return refuse(start, "invalid", "mounts need an agent that runs as root");
    if (!volumePath(config, mount.from))
      return refuse(start, "invalid", `this agent knows no volume ${mount.from}; its volumes are ${Object.keys(config.volumes).join(", ") || "none"}`);
  }
  return { kind: "start" };
}

/** `datasets/moe` → the directory of volume `datasets/moe`, or `moe` in that of volume `datasets`. */
export function volumePath(config: AgentConfig, from: string): { root: string; below: string } | undefined {
  const exact = config.volumes[from];
  if (exact !== undefined) return { root: exact, below: "" };
  const [head, ...rest] = from.split("/");
  const root = head === undefined ? undefined : config.volumes[head];
  return root === undefined ? undefined : { root, below: rest.join("/") };
}

export function refusal(start: WorkerKey, code: RefusalCode, reason: string): Extract<News, { kind: "refused" }> {
  return { kind: "refused", code, reason, ...workerOf(start) };
}

function refuse(start: WorkerStart, code: RefusalCode, reason: string, further: News[] = []): Verdict {
  return { kind: "refuse", news: [refusal(start, code, reason), ...further] };
}
