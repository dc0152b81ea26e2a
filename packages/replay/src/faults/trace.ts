import { BURST, FLAP, LEMON, LLAMA3 } from "./causes.ts";
import type { Cause } from "./causes.ts";
import type { Random } from "./random.ts";

export const DAY = 86_400;

/** Part of all faults at which processes live on and nothing moves. */
export const HANG_SHARE = 0.1;

export interface Fault {
  /** Seconds. */
  at: number;
  /** Which of the job's places is hit: node rank, from 0. */
  slot: number;
  cause: Cause;
  hangs: boolean;
  /** Random parts, drawn ahead so that every policy meets the same: which words, the phase of beats, the repair. */
  draws: readonly [number, number, number];
  /** Comes only while the node that stood in the place from the beginning stands there. */
  resident: boolean;
}

function faultAt(at: number, nodes: number, random: Random): Fault {
  const cause = random.pick(LLAMA3, (one) => one.count);
  return { at, slot: random.below(nodes), cause, hangs: random.next() < HANG_SHARE, draws: [random.next(), random.next(), random.normal()], resident: false };
}

/** Llama 3's causes: exactly their counts, at uniform times (a Poisson process given its number). */
export function llama3Faults(random: Random, nodes = 2048, days = 54): Fault[] {
  return LLAMA3.flatMap((cause) => Array.from({ length: cause.count }, () => ({ ...faultAt(random.next() * days * DAY, nodes, random), cause }))).sort(
    (a, b) => a.at - b.at,
  );
}

/** A Poisson process of so many faults per 1,000 node-days. */
export function poissonFaults(random: Random, nodes: number, perThousandDays: number, seconds: number): Fault[] {
  const faults: Fault[] = [];
  const mean = (1000 * DAY) / (perThousandDays * nodes);
  for (let at = random.exponential(mean); at < seconds; at += random.exponential(mean)) faults.push(faultAt(at, nodes, random));
  return faults;
}

export interface Window {
  from: number;
  until: number;
}

export interface Adversity {
  faults: Fault[];
  storageAway: Window[];
  controlAway: Window[];
}

/** Everything at once: lemons, flapping links, a burst, storage away, control-plane kills, hangs. */
export function adversarial(random: Random, nodes: number, seconds: number): Adversity {
  const faults = poissonFaults(random, nodes, 6.5, seconds);
  const again = (cause: Cause, slot: number, from: number, until: number, mean: number): void => {
    for (let at = from + random.exponential(mean); at < until; at += random.exponential(mean)) {
      faults.push({ at, slot, cause, hangs: random.next() < HANG_SHARE, draws: [random.next(), random.next(), random.normal()], resident: true });
    }
  };
  for (let lemon = 0; lemon < 3; lemon++) again(LEMON, random.below(nodes), 0, seconds, DAY / 2);
  for (let link = 0; link < 2; link++) {
    const from = random.next() * seconds * 0.8;
    again(FLAP, random.below(nodes), from, from + 6 * 3600, 1800);
  }
  const burst = random.next() * seconds;
  const first = random.below(nodes - 14);
  for (let slot = first; slot < first + 14; slot++)
    faults.push({ at: burst, slot, cause: BURST, hangs: false, draws: [random.next(), random.next(), random.normal()], resident: false });
  const away = random.next() * (seconds - 1800);
  const controlAway = Array.from({ length: Math.floor(seconds / 600) }, (_, index) => ({ from: (index + 1) * 600, until: (index + 1) * 600 + 5 }));
  return { faults: faults.sort((a, b) => a.at - b.at), storageAway: [{ from: away, until: away + 1800 }], controlAway };
}

/** Inside a window: when it ends; else the time itself. */
export function after(windows: readonly Window[], at: number): number {
  const inside = windows.find((window) => window.from <= at && at < window.until);
  return inside ? inside.until : at;
}
