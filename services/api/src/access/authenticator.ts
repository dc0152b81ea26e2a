import { createHash } from "node:crypto";
import { findToken, touchTokens, type Pool } from "@muster/store";
import { Problem } from "../problems/problem.ts";
import type { Identity } from "./identity.ts";

/** Milliseconds for which an answer of the database is believed: how long a token revoked elsewhere may still be used. */
const FRESH = 2000;
const MOST_CACHED = 10_000;
/** Milliseconds between notes of when tokens were last used. */
const TOUCH_EVERY = 30_000;

export function tokenHash(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

interface Cached {
  identity: Identity | undefined;
  until: number;
  expires: number;
}

/** Tells who a bearer token stands for. */
export class Authenticator {
  readonly #pool: Pool;
  readonly #cache = new Map<string, Cached>();
  readonly #asking = new Map<string, Promise<Identity | undefined>>();
  readonly #used = new Set<string>();
  #touching: NodeJS.Timeout | undefined;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** @throws Problem unauthenticated */
  async authenticate(header: string | undefined): Promise<Identity> {
    const token = bearerToken(header);
    if (!token?.startsWith("mus_"))
      throw unauthenticated(header === undefined ? "Send a token: Authorization: Bearer mus_..." : "That is not a token of this API; they begin with mus_");
    const hash = tokenHash(token);
    const key = hash.toString("base64url");
    const cached = this.#cache.get(key);
    const now = Date.now();
    const identity = cached && cached.until > now ? cached.identity : await this.#ask(key, hash);
    if (!identity || (cached && cached.expires <= now)) throw unauthenticated("The token is unknown, expired or revoked");
    this.#note(identity.tokenId);
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
    this.#cache.delete(hash.toString("base64url"));
  }

  /** Memberships changed: everyone is asked for anew. */
  forgetAll(): void {
    this.#cache.clear();
  }

  async #ask(key: string, hash: Buffer): Promise<Identity | undefined> {
    const asking = this.#asking.get(key) ?? this.#load(key, hash).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #load(key: string, hash: Buffer): Promise<Identity | undefined> {
    const row = await findToken(this.#pool, hash);
    const identity = row && { subject: row.subject, tokenId: row.id, project: row.project, role: row.role, memberships: row.memberships ?? {}, key };
    if (this.#cache.size >= MOST_CACHED) this.#cache.clear();
    this.#cache.set(key, { identity, until: Date.now() + FRESH, expires: row?.expires_at?.getTime() ?? Infinity });
    return identity;
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

function rightsOf({ subject, project, role, memberships }: Identity): string {
  return JSON.stringify([subject, project, role, Object.entries(memberships).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

export function bearerToken(header: string | undefined): string | undefined {
  return /^bearer ([\x21-\x7e]{1,512})$/i.exec(header ?? "")?.[1];
}

export function unauthenticated(detail: string): Problem {
  return new Problem("unauthenticated", detail, { headers: { "www-authenticate": 'Bearer realm="muster"' } });
}
