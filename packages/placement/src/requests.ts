import type { Request } from "./request.ts";

/** What known jobs ask: equal requests are one, which all who ask it share. */
export class Requests {
  readonly #known = new Map<string, { request: Request; jobs: number }>();
  /** Raised whenever what is asked by jobs that go by speed changes, or by how many of them. */
  speedVersion = 0;

  of(key: string): Request | undefined {
    return this.#known.get(key)?.request;
  }

  retain(request: Request): void {
    const shared = this.#known.get(request.key) ?? { request, jobs: 0 };
    shared.jobs++;
    this.#known.set(request.key, shared);
    if (request.policy === "fastest") this.speedVersion++;
  }

  release(request: Request): void {
    if (--this.#known.get(request.key)!.jobs === 0) this.#known.delete(request.key);
    if (request.policy === "fastest") this.speedVersion++;
  }

  /** All of them, and how many jobs ask each. */
  all(): Iterable<{ request: Request; jobs: number }> {
    return this.#known.values();
  }
}
