import type { EventView } from "@muster/model";

const HOLDING = /^(?:attempt\.|job\.(?:scheduled|queued|suspended|held|succeeded|failed|cancelled)$)/;
/** Incidents have no events of their own: what they come from has. */
const FAULTS = /^(?:node\.|cluster\.|worker\.|job\.(?:recovering|running|failed)$)/;

/** The first parts of the query keys whose answers an event may have changed. */
export function staleKeys(event: Pick<EventView, "kind" | "job" | "node" | "queue" | "pool">): string[][] {
  const keys: string[][] = [["overview"], ["events"]];
  if (event.job !== null) keys.push(["jobs"], ["job", event.job], ["queues"]);
  if (event.node !== null) keys.push(["nodes"], ["node", event.node]);
  if (event.pool !== null) keys.push(["pools"]);
  if (event.queue !== null) keys.push(["queues"]);
  // Who holds which device changes when an attempt is placed and when it has gone.
  if (HOLDING.test(event.kind)) keys.push(["nodes"], ["node"], ["pools"]);
  if (FAULTS.test(event.kind)) keys.push(["incidents"]);
  return keys;
}

/** Gathers keys for a while, each once. */
export class KeyGatherer {
  #keys = new Map<string, string[]>();

  add(keys: readonly string[][]): void {
    for (const key of keys) this.#keys.set(key.join("\0"), key);
  }

  /** What was gathered; a key whose beginning is there too is left out, since that covers it. */
  take(): string[][] {
    const keys = [...this.#keys.values()];
    this.#keys.clear();
    return keys.filter((key) => !keys.some((other) => other.length < key.length && other.every((part, index) => part === key[index])));
  }
}
