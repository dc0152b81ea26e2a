import { setTimeout as delay } from "node:timers/promises";

/** Milliseconds between looks at the time. */
const LOOK = 1000;

/**
 * A clock that stands still while this process does, as on a machine that does much else: time in which nothing could be heard is
 * nobody's silence.
 */
export class OwnClock {
  readonly #closing = new AbortController();
  #looked = performance.now();
  #stood = 0;

  constructor() {
    void this.#run();
  }

  /** Milliseconds, as by `performance.now()`, without those that this process stood still. */
  now(): number {
    this.#look();
    return performance.now() - this.#stood;
  }

  /** Milliseconds that it stood still, in all. */
  get stood(): number {
    this.#look();
    return this.#stood;
  }

  close(): void {
    this.#closing.abort();
  }

  #look(): void {
    const now = performance.now();
    const gap = now - this.#looked;
    this.#looked = now;
    if (gap > 2 * LOOK) this.#stood += gap - LOOK;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      this.#look();
      await delay(LOOK, undefined, { signal, ref: false }).catch(() => {});
    }
  }
}
