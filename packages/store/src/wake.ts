import pg from "pg";
import type { Pool } from "./pool.ts";

const CHANNEL = "muster_wake";

/** In one round trip, and without waiting for the disk: losing it costs a poll interval. */
const NOTIFY = `SET LOCAL synchronous_commit = off; NOTIFY ${CHANNEL}`;

/**
 * Tells every service that something changed, without NOTIFY in hot transactions (notifying commits queue behind one global
 * lock): calls are gathered for a few milliseconds into one notification of its own. Losing one costs a poll interval.
 */
export class Waker {
  readonly #pool: Pool;
  readonly #delay: number;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> = Promise.resolve();
  #again = false;

  /** @param delay milliseconds in which further calls join */
  constructor(pool: Pool, delay = 4) {
    this.#pool = pool;
    this.#delay = delay;
  }

  wake(): void {
    if (this.#timer) {
      this.#again = true;
      return;
    }
    this.#timer = setTimeout(() => {
      this.#sending = this.#pool.query(NOTIFY).then(
        () => this.#done(),
        () => this.#done(),
      );
    }, this.#delay);
  }

  #done(): void {
    this.#timer = undefined;
    if (this.#again) {
      this.#again = false;
      this.wake();
    }
  }

  /** Sends what is still gathered. */
  async close(): Promise<void> {
    await this.#sending;
    if (this.#timer) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }
}

/** Calls `onWake` when another service woke us; reconnects by itself, and calls once after each reconnect. */
export function listenForWakes(databaseUrl: string, onWake: () => void): { close(): Promise<void> } {
  let closed = false;
  let client: pg.Client | undefined;
  let retry: NodeJS.Timeout | undefined;
  const connect = async (): Promise<void> => {
    const next = new pg.Client({ connectionString: databaseUrl, application_name: "muster-listen", keepAlive: true });
    const lost = (): void => {
      if (client !== next) return;
      client = undefined;
      if (!closed) retry = setTimeout(() => void connect(), 500);
    };
    client = next;
    next.on("error", lost);
    next.on("end", lost);
    next.on("notification", onWake);
    try {
      await next.connect();
      await next.query(`LISTEN ${CHANNEL}`);
      onWake();
    } catch {
      await next.end().catch(() => {});
      lost();
    }
  };
  void connect();
  return {
    async close() {
      closed = true;
      clearTimeout(retry);
      await client?.end().catch(() => {});
    },
  };
}
