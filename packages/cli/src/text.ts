/** Text of other people, without what could steer a terminal, on one line. */
export function clean(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what this removes
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g, " ").trim();
}

/** Seconds as people read them: `0.4s 12s 3m12s 5h03m 2d04h`. */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, seconds);
  if (s < 10) return `${Math.round(s * 10) / 10}s`;
  const whole = Math.round(s);
  if (whole < 60) return `${whole}s`;
  const two = (n: number): string => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
  return `${Math.floor(minutes / 1440)}d${two(Math.floor((minutes % 1440) / 60))}h`;
}

export function secondsSince(time: string | null, now: number): number | undefined {
  return time === null ? undefined : Math.max(0, (now - Date.parse(time)) / 1000);
}

export function formatAge(time: string | null, now: number): string {
  const seconds = secondsSince(time, now);
  return seconds === undefined ? "-" : formatDuration(seconds < 10 ? Math.floor(seconds) : seconds);
}

export function formatBytes(bytes: number): string {
  const units = ["B", "Ki", "Mi", "Gi", "Ti", "Pi"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)}${units[unit]}`;
}

export function formatNumber(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** The first few of many, then how many more. */
export function abbreviate(items: readonly string[], most = 3): string {
  const shown = items.slice(0, most).map(clean).join(", ");
  return items.length > most ? `${shown} and ${items.length - most} more` : shown;
}
