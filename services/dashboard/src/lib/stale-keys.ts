import type { EventView } from "@muster/model";

/** The first parts of the query keys whose answers an event may have changed. */
export function staleKeys(event: Pick<EventView, "kind" | "job" | "node" | "queue" | "pool">): string[][] {
  const keys: string[][] = [["overview"], ["events"]];
  if (event.job !== null) keys.push(["jobs"], ["job", event.job]);
  if (event.node !== null) keys.push(["nodes"], ["node", event.node]);
  if (event.node !== null || event.pool !== null) keys.push(["pools"]);
  // An attempt that starts or ends changes who holds which device.
  if (/^(?:attempt|worker)/.test(event.kind)) keys.push(["nodes"], ["node"], ["pools"], ["queues"]);
  if (event.queue !== null || event.kind.startsWith("job")) keys.push(["queues"]);
  if (/^incident|^mass_silence/.test(event.kind)) keys.push(["incidents"]);
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
