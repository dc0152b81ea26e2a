import { AsyncLocalStorage } from "node:async_hooks";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers/promises";
import type { Process, World } from "./world.ts";

/*
 * Clock, timers and randomness of Node itself, replaced for this process: no code of a service, nor of the database, which runs in this
 * process too, can get past them by forgetting a parameter. What runs outside a simulated process keeps the real timers.
 */

const current = new AsyncLocalStorage<Process>();
const nextTurn = setImmediate;
const realTime = performance.now.bind(performance);

/** Resolves when everything that can run without time passing has run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => nextTurn(resolve));
}

/** Milliseconds of the real clock. */
export function wallTime(): number {
  return realTime();
}

export function runAs<T>(process: Process, work: () => T): T {
  return current.run(process, work);
}

/** From now on this process lives in the world's time, and draws its randomness from it. Once in a process's life. */
export function enter(world: () => World): void {
  const realSetTimeout = setTimeout;
  const realClearTimeout = clearTimeout;
  const RealDate = Date;
  const now = (): number => Math.floor(world().now());
  RealDate.now = now;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, words: [], of) => Reflect.construct(target, words.length === 0 ? [now()] : words, of) as object,
  });
  // what measures how long it waited: a jump of time is nobody's waiting
  performance.now = () => world().serviceTime();

  const handles = new WeakSet<() => void>();
  const later = (work: (...words: unknown[]) => void, milliseconds?: number, ...words: unknown[]): unknown => {
    const process = current.getStore();
    if (!process) return realSetTimeout(work, milliseconds, ...words);
    const callOff = world().later(process, milliseconds ?? 0, () => work(...words));
    handles.add(callOff);
    return callOff;
  };
  globalThis.setTimeout = Object.assign(later, realSetTimeout);
  globalThis.clearTimeout = (handle: unknown) => {
    if (typeof handle === "function" && handles.has(handle as () => void)) (handle as () => void)();
    else realClearTimeout(handle as NodeJS.Timeout);
  };

  const realDelay = timers.setTimeout;
  const delay = <T>(milliseconds?: number, value?: T, options?: { signal?: AbortSignal }): Promise<T> => {
    const process = current.getStore();
    if (!process) return realDelay(milliseconds, value, options);
    return new Promise<T>((resolve, reject) => {
      const signal = options?.signal;
      const aborted = (): void => {
        callOff();
        reject(new DOMException("The operation was aborted", "AbortError"));
      };
      const callOff = world().later(process, milliseconds ?? 0, () => {
        signal?.removeEventListener("abort", aborted);
        resolve(value as T);
      });
      if (signal?.aborted) aborted();
      else signal?.addEventListener("abort", aborted, { once: true });
    });
  };
  timers.setTimeout = delay as unknown as typeof timers.setTimeout;

  crypto.randomBytes = (size: number) => Buffer.from(Array.from({ length: size }, () => Math.floor(world().random() * 256)));
  crypto.randomInt = ((least: number, most?: number) => {
    const [from, to] = most === undefined ? [0, least] : [least, most];
    return from + Math.floor(world().random() * (to - from));
  }) as typeof crypto.randomInt;
  Math.random = () => world().random();
  syncBuiltinESMExports();
}
