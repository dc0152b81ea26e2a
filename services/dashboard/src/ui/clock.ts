import { useSyncExternalStore } from "react";

/*
 * One clock for the whole page, ticking once a second while it is seen. It follows the server's: an operator's laptop that
 * is two minutes off must not show ages that are.
 */

let skew = 0;
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const listeners = new Set<() => void>();

function tick(): void {
  now = Date.now() + skew;
  for (const listener of listeners) listener();
}

/** Learns the server's time from an answer's Date header (whole seconds, so less than 2 s is no difference). */
export function noteServerTime(date: string | null): void {
  const at = date === null ? Number.NaN : Date.parse(date);
  if (Number.isNaN(at)) return;
  const difference = at - Date.now();
  skew = Math.abs(difference) < 2000 ? 0 : difference;
}

/** Now, in milliseconds, once a second. */
export const useNow = (): number =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      timer ??= setInterval(() => !document.hidden && tick(), 1000);
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
    },
    () => now,
  );
