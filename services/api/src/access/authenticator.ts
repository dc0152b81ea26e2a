import { createHash } from "node:crypto";
import { findTokens, readCluster, touchTokens, verifyAttemptToken, type AttemptIdentity, type FoundToken, type Pool } from "@muster/store";
import { Batcher, type Outcome } from "../batcher.ts";
import { Problem } from "../problems/problem.ts";
import type { Identity } from "./identity.ts";

/** Milliseconds for which an answer of the database is believed: how long a token revoked elsewhere may still be used. */
const FRESH = 2000;
const MOST_CACHED = 10_000;
/** Tokens asked for at once. */
const MOST_ASKED = 1000;
/** Milliseconds between notes of when tokens were last used. */
const TOUCH_EVERY = 30_000;

export function tokenHash(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

interface Cached {
  identity: Identity;
  until: number;
  expires: number;
}

/**
 * Tells who a bearer token stands for. Whoever makes tokens up gets no more of the database than one question at a time, which
 * asks for all that came meanwhile, and drives no valid token out of the cache.
 */
export class Authenticator {
  readonly #pool: Pool;
  readonly #known = new Map<string, Cached>();
  /** Until when these are taken to be no tokens. */
  readonly #unknown = new Map<string, number>();
  readonly #asking = new Map<string, Promise<Cached | undefined>>();
  readonly #asks: Batcher<Buffer, FoundToken | undefined>;
  #secret: { value: Promise<Buffer>; until: number } | undefined;
  readonly #used = new Set<string>();
  #touching: NodeJS.Timeout | undefined;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#asks = new Batcher(
      (hashes) => findAll(pool, hashes),
      () => undefined,
      MOST_ASKED,
      1,
    );
  }

  /** @throws Problem unauthenticated */
  async authenticate(header: string | undefined): Promise<Identity> {
    const token = bearerToken(header);
    if (!token?.startsWith("mus_"))
      throw unauthenticated(header === undefined ? "Send a token: Authorization: Bearer mus_..." : "That is not a token of this API; they begin with mus_");
    const hash = tokenHash(token);
    const key = hash.toString("base64url");
    const cached = this.#known.get(key);
    const now = Date.now();
    const found = cached && cached.until > now ? cached : await this.#ask(key, hash, now);
    if (!found || found.expires <= now) throw unauthenticated("The token is unknown, expired or revoked");
    this.#note(found.identity.tokenId);
    return found.identity;
  }

  /** The attempt whose own token this is, though it may be over by now. @throws Problem unauthenticated */
  async authenticateAttempt(header: string | undefined): Promise<AttemptIdentity> {
    const now = Date.now();
    if (!this.#secret || this.#secret.until <= now) {
      const value = readCluster(this.#pool).then(({ secret }) => secret);
      this.#secret = { value, until: now + FRESH };
      value.catch(() => (this.#secret = undefined));
    }
    const identity = verifyAttemptToken(await this.#secret.value, bearerToken(header) ?? "");
    if (!identity) throw unauthenticated("Send the token of the attempt, which $MUSTER_TOKEN_FILE holds");
    return identity;
  }

  /** Whether a token still stands for whom it stood for; while that can't be asked, it does. */
  async isStill(identity: Identity, header: string | undefined): Promise<boolean> {
    try {
      const now = await this.authenticate(header);
      return rightsOf(now) === rightsOf(identity);
    } catch (error) {
      return !(error instanceof Problem);
    }
  }

  forget(hash: Buffer): void {
    const key = hash.toString("base64url");
    this.#known.delete(key);
    this.#unknown.delete(key);
  }

  /** Memberships changed: everyone is asked for anew. */
  forgetAll(): void {
    this.#known.clear();
  }

  async #ask(key: string, hash: Buffer, now: number): Promise<Cached | undefined> {
    if ((this.#unknown.get(key) ?? 0) > now) return undefined;
    const asking = this.#asking.get(key) ?? this.#load(key, hash).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #load(key: string, hash: Buffer): Promise<Cached | undefined> {
    const row = await this.#asks.submit(hash);
    const until = Date.now() + FRESH;
    if (!row) {
      this.#known.delete(key);
      keep(this.#unknown, key, until);
      return undefined;
    }
    const identity = { subject: row.subject, tokenId: row.id, project: row.project, role: row.role, memberships: row.memberships ?? {}, key };
    const found = { identity, until, expires: row.expires_at?.getTime() ?? Infinity };
    keep(this.#known, key, found);
    return found;
  }

  #note(id: string): void {
    this.#used.add(id);
    this.#touching ??= setTimeout(() => void this.#touch(), TOUCH_EVERY).unref();
  }

  async #touch(): Promise<void> {
    this.#touching = undefined;
    const ids = [...this.#used];
    this.#used.clear();
    // when a token was last used is told to people; losing a note of it harms nothing
    if (ids.length > 0) await touchTokens(this.#pool, ids).catch(() => {});
  }

  async close(): Promise<void> {
    clearTimeout(this.#touching);
    await this.#touch();
  }
}

/** Answers each or fails each: while the database is away nobody waits for others' questions. */
async function findAll(pool: Pool, hashes: readonly Buffer[]): Promise<Outcome<FoundToken | undefined>[]> {
  try {
    const found = new Map((await findTokens(pool, hashes)).map((row) => [row.hash.toString("base64url"), row]));
    return hashes.map((hash) => ({ ok: true, value: found.get(hash.toString("base64url")) }));
  } catch (error) {
    return hashes.map(() => ({ ok: false, error }));
  }
}

function keep<Value>(cache: Map<string, Value>, key: string, value: Value): void {
  if (cache.size >= MOST_CACHED) cache.clear();
  cache.set(key, value);
}

function rightsOf({ subject, project, role, memberships }: Identity): string {
  return JSON.stringify([subject, project, role, Object.entries(memberships).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

export function bearerToken(header: string | undefined): string | undefined {
  return /^bearer ([\x21-\x7e]{1,512})$/i.exec(header ?? "")?.[1];
}

export function unauthenticated(detail: string): Problem {
  return new Problem("unauthenticated", detail, { headers: { "www-authenticate": 'Bearer realm="muster"' } });
}
