import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/*
 * Calls between services (the API asks the scheduler's leader, say) are signed with the cluster's secret, which never leaves
 * them: header `muster-signature: <unix seconds>.<hex HMAC of time, path and body>`.
 */

export const SIGNATURE_HEADER = "muster-signature";
/** Seconds that two services' clocks may be apart. */
const SKEW = 60;

/** @param now milliseconds since the epoch */
export function signInternal(secret: Buffer, path: string, body: string, now: number): string {
  const seconds = Math.floor(now / 1000);
  return `${seconds}.${mac(secret, seconds, path, body).toString("hex")}`;
}

/** @param now milliseconds since the epoch */
export function verifyInternal(secret: Buffer, path: string, body: string, header: string | undefined, now: number): boolean {
  const part = /^(\d{1,12})\.([0-9a-f]{64})$/.exec(header ?? "");
  if (!part) return false;
  const seconds = Number(part[1]);
  if (Math.abs(now / 1000 - seconds) > SKEW) return false;
  return timingSafeEqual(Buffer.from(part[2] as string, "hex"), mac(secret, seconds, path, body));
}

function mac(secret: Buffer, seconds: number, path: string, body: string): Buffer {
  const hash = createHash("sha256").update(body).digest("hex");
  return createHmac("sha256", secret).update(`muster internal\n${seconds}\n${path}\n${hash}`).digest();
}
