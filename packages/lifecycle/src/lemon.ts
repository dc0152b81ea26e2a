/* Nodes that break again and again: most of a cluster's trouble comes from a few (Meta RSC, 2024: 40 lemons were 1.2 % of nodes). */

export interface NodeFault {
  /** Milliseconds. */
  at: number;
  /** It only warned: nothing was ended and nothing taken out of service for it. */
  warning: boolean;
}

export const LEMON_DAYS = 28;
/** Faults closer together than this are one. */
const EPISODE = 3_600_000;
const WARNING = 0.5;

export interface LemonScore {
  /** Episodes of faults within the days that count; one that only warned is half. */
  score: number;
  episodes: number;
  last: number | null;
}

export function scoreLemon(faults: readonly NodeFault[], now: number): LemonScore {
  const recent = faults.filter(({ at }) => at > now - LEMON_DAYS * 86_400_000 && at <= now).toSorted((a, b) => a.at - b.at);
  const episodes: { from: number; weight: number }[] = [];
  for (const { at, warning } of recent) {
    const weight = warning ? WARNING : 1;
    const before = episodes.at(-1);
    if (before && at - before.from < EPISODE) before.weight = Math.max(before.weight, weight);
    else episodes.push({ from: at, weight });
  }
  return { score: episodes.reduce((sum, one) => sum + one.weight, 0), episodes: episodes.length, last: recent.at(-1)?.at ?? null };
}
