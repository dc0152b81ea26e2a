import { createHmac, timingSafeEqual } from "node:crypto";

/** Whom an attempt token speaks for: one attempt of one job, and nothing else. */
export interface AttemptIdentity {
  job: string;
  /** A bigint as text. */
  incarnation: string;
  attempt: number;
}

const PREFIX = "mua_";

/** The token of one attempt: what it is, signed with the cluster's secret. It holds as long as its attempt is current. */
export function makeAttemptToken(secret: Buffer, identity: AttemptIdentity): string {
  const text = Buffer.from(`${identity.job}.${identity.incarnation}.${identity.attempt}`).toString("base64url");
  return `${PREFIX}${text}.${sign(secret, text).toString("base64url")}`;
}

/** Whom a token speaks for; undefined where it is not one of ours. */
export function verifyAttemptToken(secret: Buffer, token: string): AttemptIdentity | undefined {
  const part = /^mua_([A-Za-z0-9_-]{1,256})\.([A-Za-z0-9_-]{43})$/.exec(token);
  if (!part) return undefined;
  const [, text, signature] = part as unknown as [string, string, string];
  const given = Buffer.from(signature, "base64url");
  const expected = sign(secret, text);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  const identity = /^(job_[0-9a-z]{26})\.(\d{1,19})\.(\d{1,9})$/.exec(Buffer.from(text, "base64url").toString());
  return identity ? { job: identity[1] as string, incarnation: identity[2] as string, attempt: Number(identity[3]) } : undefined;
}

function sign(secret: Buffer, text: string): Buffer {
  return createHmac("sha256", secret).update(`muster attempt\n${text}`).digest();
}
