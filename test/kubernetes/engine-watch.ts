import type { Engine, Observation, WorkerKey } from "@muster/engine";
import { Gone, Unreachable } from "@muster/engine";
import { setTimeout as delay } from "node:timers/promises";

/** What an engine reports, as a supervisor reads it: from where it was, and after a gap from a snapshot. */
export class EngineWatch {
  readonly all: Observation[] = [];
  readonly #stop = new AbortController();
  #running: Promise<void>;

  constructor(engine: Engine) {
    this.#running = this.#follow(engine);
  }

  of(key: WorkerKey, ...kinds: Observation["kind"][]): Observation[] {
    return this.all.filter(
      (one) => kinds.includes(one.kind) && "worker" in one && one.job === key.job && one.attempt === key.attempt && one.worker === key.worker,
    );
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #follow(engine: Engine): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const { epoch, seq } = await engine.snapshot();
        for await (const batch of engine.observe(epoch, seq, signal)) this.all.push(...batch);
      } catch (error) {
        if (!(error instanceof Gone || error instanceof Unreachable)) throw error;
      }
      await delay(50, undefined, { signal }).catch(() => {});
    }
  }
}
