export type LiveStatus = "connecting" | "live" | "polling" | "paused";

/** Beyond this silence (milliseconds) what is shown may be old: amber; beyond the second, it surely is. */
export const STALE_AFTER = 20_000;
export const OLD_AFTER = 60_000;

export type Freshness = "live" | "stale" | "old" | "paused";

export function freshnessOf(status: LiveStatus, heard: number, now: number): Freshness {
  if (status === "paused") return "paused";
  const silence = now - heard;
  if (silence > OLD_AFTER) return "old";
  return silence > STALE_AFTER ? "stale" : "live";
}

/** How long to wait (milliseconds) before connecting again, with jitter so that a restart does not bring all tabs at once. */
export const reconnectDelay = (failures: number, random: number): number => Math.min(15_000, 500 * 2 ** Math.min(failures, 5)) * (0.5 + random / 2);
