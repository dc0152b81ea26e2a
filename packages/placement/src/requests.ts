import type { Request } from "./request.ts";

/** What known jobs ask: equal requests are one, which all who ask it share. */
export class Requests {
  readonly #known = new Map<string, { request: Request; jobs: number }>();

  of(key: string): Request | undefined {
    return this.#known.get(key)?.request;
  }

  retain(request: Request): void {
    const shared = this.#known.get(request.key) ?? { request, jobs: 0 };
    shared.jobs++;
    this.#known.set(request.key, shared);
  }

  release(request: Request): void {
    if (--this.#known.get(request.key)!.jobs === 0) this.#known.delete(request.key);
  }

  /** All of them, and how many jobs ask each. */
  all(): Iterable<{ request: Request; jobs: number }> {
    return this.#known.values();
  }
}
