export interface Backoff {
  /** Tries in all. */
  tries: number;
  /** Seconds before the second try; doubled for each further one. */
  first: number;
  /** Seconds at most. */
  limit: number;
}

/** Seconds to wait after a number of failed tries: exponential, the upper half of it random, so that clients don't come in step. */
export function backoffDelay({ first, limit }: Pick<Backoff, "first" | "limit">, failed: number, random: () => number): number {
  const full = Math.min(limit, first * 2 ** Math.min(failed - 1, 30));
  return full / 2 + (full / 2) * random();
}

/** Resolves after some seconds; rejects with the signal's reason where that comes first. */
export function delay(seconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
