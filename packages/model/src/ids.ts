const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

export const ID_PREFIXES = ["job", "tok", "inc", "req"] as const;
export type IdPrefix = (typeof ID_PREFIXES)[number];

/**
 * A sortable id: `job_` + 10 characters of milliseconds + 16 of randomness, Crockford base 32 in lower case.
 * Ids made in later milliseconds sort after earlier ones.
 * @param now milliseconds since the epoch
 * @param random 10 random bytes
 */
export function makeId(prefix: IdPrefix, now: number, random: Uint8Array): string {
  let time = "";
  for (let rest = Math.floor(now), i = 0; i < 10; i++, rest = Math.floor(rest / 32)) time = ALPHABET[rest % 32] + time;
  let tail = "";
  for (let i = 0, bits = 0, value = 0; tail.length < 16; ) {
    if (bits < 5) {
      value = ((value & 31) << 8) | (random[i++] ?? 0);
      bits += 8;
    }
    bits -= 5;
    tail += ALPHABET[(value >> bits) & 31];
  }
  return `${prefix}_${time}${tail}`;
}

const ID = /^(job|tok|inc|req)_[0-9a-hjkmnp-tv-z]{26}$/;

export function isId(prefix: IdPrefix, text: string): boolean {
  return ID.test(text) && text.startsWith(`${prefix}_`);
}

/** The first id that could be made at a time: the lower bound of a range of ids. */
export function idFloor(prefix: IdPrefix, milliseconds: number): string {
  return makeId(prefix, milliseconds, new Uint8Array(10));
}
