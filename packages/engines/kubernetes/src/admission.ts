import { compareFence, type WorkerStart } from "@muster/engine";
import type { News } from "./feed.ts";
import type { Fences } from "./fences.ts";
import * as names from "./names.ts";

/** What a start is judged by. */
export interface Known {
  fences: Pick<Fences, "get" | "isNever" | "incarnation">;
  /** Whether it was started already. */
  has(start: WorkerStart): boolean;
  /** Whether there is such a node in the shard's pools. */
  node(name: string): boolean;
  /** What of it the project may not use. */
  forbidden(start: WorkerStart): string | undefined;
}

/** Whether a start may go ahead; if not, what is to be observed of that: nothing where it is known already. Pure. */
export function admission(start: WorkerStart, known: Known): "go" | News[] {
  const { fences } = known;
  const refuse = (code: Extract<News, { kind: "refused" }>["code"], reason: string): News => ({ kind: "refused", code, reason, ...names.workerOf(start) });
  if (fences.isNever(start)) return [refuse("stale", "it was stopped before it was started")];
  if (known.has(start)) return [];
  const fence = fences.get(start.job);
  const newer: News = { kind: "newer_known", job: start.job, incarnation: fence?.incarnation ?? fences.incarnation, attempt: fence?.attempt ?? 0 };
  if (BigInt(start.incarnation) < BigInt(fences.incarnation)) return [refuse("newer_known", `incarnation ${fences.incarnation} is known`), newer];
  const order = fence ? compareFence(start, fence) : 1;
  if (order < 0) return [refuse("stale", "an older attempt"), newer];
  if (order === 0 && fence?.closed) return [refuse("stale", "the attempt has ended and is recorded")];
  if (!known.node(start.node)) return [refuse("no_such_node", `no node ${start.node}`)];
  const wrong = known.forbidden(start);
  return wrong === undefined ? "go" : [refuse("invalid", wrong)];
}
