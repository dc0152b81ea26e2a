import type { EventView } from "@muster/model";
import { eventToView, feedEnd, listenForWakes, readFeed, type FeedPosition, type Pool } from "@muster/store";
import type { FastifyBaseLogger } from "fastify";

/** Events read at once. */
const BATCH = 500;
/** Milliseconds between looks where no wake comes: what commits while another transaction is open shows up by these. */
const POLL = 1000;
/** Milliseconds after a wake at which is looked again, for what the first look had to leave. */
const AGAIN = 100;

export type Subscriber = (event: EventView, position: FeedPosition) => void;

/** Follows the feed once for all streams of this process, and only while there are any. */
export class EventHub {
  readonly #pool: Pool;
  readonly #url: string;
  readonly #log: FastifyBaseLogger;
  readonly #subscribers = new Set<Subscriber>();
  #position: FeedPosition | undefined;
  #listener: { close(): Promise<void> } | undefined;
  #reading: Promise<void> | undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(pool: Pool, url: string, log: FastifyBaseLogger) {
    this.#pool = pool;
    this.#url = url;
    this.#log = log;
  }

  /**
   * Calls back for every event after the returned position, in the feed's order.
   * @returns where it begins, and how to stop
   */
  async subscribe(subscriber: Subscriber): Promise<{ from: FeedPosition; stop: () => void }> {
    if (this.#subscribers.size === 0) this.#position = undefined;
    const stop = (): void => {
      this.#subscribers.delete(subscriber);
      if (this.#subscribers.size === 0) this.#rest();
    };
    this.#subscribers.add(subscriber);
    try {
      const end = await feedEnd(this.#pool);
      // those that already listen may be behind the end: this one begins where they are
      this.#position ??= end;
      this.#listener ??= listenForWakes(this.#url, () => this.#look());
      this.#timer ??= setInterval(() => this.#look(), POLL).unref();
      return { from: this.#position, stop };
    } catch (error) {
      stop();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#subscribers.clear();
    this.#rest();
    await this.#reading;
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    void this.#listener?.close();
    this.#listener = undefined;
  }

  #look(): void {
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
      if (this.#again && this.#subscribers.size > 0) {
        this.#again = false;
        setTimeout(() => this.#look(), AGAIN).unref();
      }
    });
  }

  async #read(): Promise<void> {
    try {
      for (;;) {
        const after = this.#position;
        if (!after || this.#subscribers.size === 0) return;
        const rows = await readFeed(this.#pool, after, BATCH);
        // everyone may have left, and someone new come, while this was read
        if (this.#position !== after) continue;
        for (const row of rows) {
          const position = { xid: row.xid, seq: row.seq };
          this.#position = position;
          const view = eventToView(row);
          for (const subscriber of this.#subscribers) subscriber(view, position);
        }
        if (rows.length < BATCH) return;
      }
    } catch (error) {
      this.#log.warn({ err: error }, "the feed could not be read; trying again");
    }
  }
}

/** Whether `a` comes after `b`. */
export function isAfter(a: FeedPosition, b: FeedPosition): boolean {
  const [ax, bx] = [BigInt(a.xid), BigInt(b.xid)];
  return ax === bx ? BigInt(a.seq) > BigInt(b.seq) : ax > bx;
}
