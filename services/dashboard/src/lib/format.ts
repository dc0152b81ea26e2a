const grouped = new Intl.NumberFormat("en-US");
const decimals = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });

/** 12345 -> "12,345". */
export const count = (value: number): string => grouped.format(value);

/** Thousandths of devices as devices: 2500 -> "2.5". */
export const shares = (thousandths: number): string => decimals.format(thousandths / 1000);

export const decimal = (value: number): string => decimals.format(value);

export function percent(part: number, whole: number): string {
  if (whole <= 0) return "–";
  const value = (part / whole) * 100;
  // 99.96 % is not all of it, and 0.02 % is not none; nor is anything several times itself.
  if (value > 100) return ">100%";
  if (value > 99 && value < 100) return "99%";
  if (value > 0 && value < 1) return "<1%";
  return `${Math.round(value)}%`;
}

/** A ratio of which tenths of a percent count. */
export const ratio = (part: number): string => `${(part * 100).toFixed(1)}%`;

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Bytes in binary units, three figures at most. */
export function bytes(value: number): string {
  let unit = 0;
  let amount = value;
  while (amount >= 1024 && unit < BYTE_UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || amount >= 100 ? 0 : 1;
  return `${amount.toFixed(digits).replace(/\.0$/, "")} ${BYTE_UNITS[unit]}`;
}

/** Seconds as its two largest units: "3d 4h", "2h 05m", "4m 10s", "12s", "0.4s". */
export function duration(seconds: number): string {
  const value = Math.max(0, seconds);
  if (value > 0 && value < 1) return `${Math.max(0.1, Math.round(value * 10) / 10)}s`;
  const whole = Math.floor(value);
  if (whole < 60) return `${whole}s`;
  const pad = (amount: number): string => String(amount).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${pad(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h ${pad(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86_400)}d ${Math.floor((whole % 86_400) / 3600)}h`;
}

/** Milliseconds for people: "0.8 ms", "12 ms", "1.4 s". */
export function milliseconds(value: number): string {
  if (value < 10) return `${Math.round(value * 10) / 10} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return `${Math.round(value / 100) / 10} s`;
}

/** The age of a moment in its largest unit: "now", "12s ago", "5m ago", "3h ago", "2d ago"; "in 5m" ahead. */
export function age(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  const short = shortDuration(Math.abs(seconds));
  if (seconds <= -2) return `in ${short}`;
  return seconds < 2 ? "now" : `${short} ago`;
}

/** One unit only, for narrow columns. */
export function shortDuration(seconds: number): string {
  const value = Math.max(0, Math.floor(seconds));
  if (value < 60) return `${value}s`;
  if (value < 3600) return `${Math.floor(value / 60)}m`;
  if (value < 172_800) return `${Math.floor(value / 3600)}h`;
  return `${Math.floor(value / 86_400)}d`;
}

/** A moment in full, in UTC or in the zone given. */
export function absolute(at: number, zone: "utc" | "local" = "utc"): string {
  const date = new Date(at);
  if (zone === "utc") return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const two = (value: number): string => String(value).padStart(2, "0");
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${clock} ${sign}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
}

/** The time of day, for event lists within one day. */
export const clock = (at: number): string => new Date(at).toISOString().slice(11, 19);

export const plural = (amount: number, one: string, many = `${one}s`): string => `${count(amount)} ${amount === 1 ? one : many}`;

/** A loss or a rate: four figures that matter, no exponent for everyday sizes. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return Number(value.toPrecision(4)).toString();
}

/** Device indexes as ranges: [0,1,2,5] -> "0-2,5". */
export function ranges(indexes: readonly number[]): string {
  const sorted = [...indexes].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let at = 0; at < sorted.length; ) {
    let last = at;
    while (sorted[last + 1] === (sorted[last] ?? 0) + 1) last += 1;
    parts.push(last > at ? `${sorted[at]}-${sorted[last]}` : String(sorted[at]));
    at = last + 1;
  }
  return parts.join(",");
}

/** snake_case or dotted words as a sentence's start: "worker_lost" -> "Worker lost". */
export function humanize(words: string): string {
  const text = words.replaceAll(/[_.]+/g, " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A message as a sentence: with a capital, and a full stop unless it ends otherwise. */
export const sentence = (message: string): string =>
  message === "" ? "" : `${message.charAt(0).toUpperCase()}${message.slice(1)}${/[.!?:]$/.test(message) ? "" : "."}`;
