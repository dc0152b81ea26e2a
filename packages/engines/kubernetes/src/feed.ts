import { randomBytes } from "node:crypto";
import { Gone, type AttemptKey, type Observation } from "@muster/engine";
import { attemptName, workerName } from "./names.ts";

/* What the engine has observed, in order, for as long as it lives. After its end the cluster itself says what there is. */

export type News = Observation extends infer O ? (O extends Observation ? Omit<O, "seq" | "at"> : never) : never;

interface Entry {
  observation: Observation;
  attempt: string | undefined;
}

const SWEEP_EVERY = 4096;

export class Feed {
  readonly epoch = randomBytes(9).toString("base64url");
  seq = 0;
  private entries: Entry[] = [];
  /** The newest progress and size of each worker: older ones tell nothing more. */
  private readonly newest = new Map<string, Entry>();
  private readonly forgotten = new Set<string>();
  private readonly waiting = new Set<() => void>();
  private sinceSweep = 0;

  note(news: News): void {
    const observation = { seq: ++this.seq, at: new Date().toISOString(), ...news };
    const entry: Entry = {
      observation,
      attempt: "attempt" in observation && observation.kind !== "newer_known" ? attemptName(observation) : undefined,
    };
    this.entries.push(entry);
    if (observation.kind === "progress" || observation.kind === "output") this.newest.set(`${observation.kind} ${workerName(observation)}`, entry);
    if (++this.sinceSweep >= SWEEP_EVERY) this.sweep();
    this.wake();
  }

  /** The store has recorded all of these attempts. */
  forget(attempts: readonly AttemptKey[]): void {
    for (const key of attempts) this.forgotten.add(attemptName(key));
    if (this.forgotten.size >= 512) this.sweep();
  }

  async *follow(epoch: string, after: number, signal: AbortSignal): AsyncGenerator<Observation[]> {
    if (epoch !== this.epoch || after > this.seq) throw new Gone("these observations are of an earlier life of the engine");
    let wake = (): void => {};
    const listener = (): void => wake();
    this.waiting.add(listener);
    signal.addEventListener("abort", listener);
    try {
      for (let cursor = after; !signal.aborted; ) {
        const batch = this.after(cursor);
        cursor = this.seq;
        if (batch.length > 0) {
          yield batch;
          continue;
        }
        const more = new Promise<void>((resolve) => {
          wake = resolve;
        });
        if (this.seq === cursor && !signal.aborted) await more;
      }
    } finally {
      this.waiting.delete(listener);
      signal.removeEventListener("abort", listener);
    }
  }

  wake(): void {
    for (const listener of this.waiting) listener();
  }

  private after(seq: number): Observation[] {
    let low = 0;
    for (let high = this.entries.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((this.entries[middle] as Entry).observation.seq <= seq) low = middle + 1;
      else high = middle;
    }
    return this.entries.slice(low).map((entry) => entry.observation);
  }

  private sweep(): void {
    this.sinceSweep = 0;
    this.entries = this.entries.filter((entry) => {
      if (entry.attempt !== undefined && this.forgotten.has(entry.attempt)) return false;
      const { observation } = entry;
      return (observation.kind !== "progress" && observation.kind !== "output") || this.newest.get(`${observation.kind} ${workerName(observation)}`) === entry;
    });
    for (const [name, entry] of this.newest) if (entry.attempt !== undefined && this.forgotten.has(entry.attempt)) this.newest.delete(name);
    this.forgotten.clear();
  }
}
