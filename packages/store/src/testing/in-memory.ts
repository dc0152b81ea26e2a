import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { PGlite } from "@electric-sql/pglite";
import pg from "pg";

/** What `InMemoryPostgres.dump` gave: databases that begin alike are made from it in a fraction of the time. */
export type DatabaseImage = Blob | File;

/**
 * A real Postgres in the memory of this process (PGlite: the server compiled to WebAssembly), spoken to by the usual client. It
 * has one session, so it knows one transaction at a time; its clock is `Date.now`, whatever that is at the moment.
 */
export class InMemoryPostgres {
  readonly #server: PGlite;
  readonly client: pg.Client;

  static async create(image?: DatabaseImage): Promise<InMemoryPostgres> {
    const server = await PGlite.create(image ? { loadDataDir: image } : {});
    const client = new pg.Client({ stream: () => new Wire(server) as unknown as Duplex, user: "postgres", database: "postgres" });
    await client.connect();
    return new InMemoryPostgres(server, client);
  }

  private constructor(server: PGlite, client: pg.Client) {
    this.#server = server;
    this.client = client;
  }

  dump(): Promise<DatabaseImage> {
    return this.#server.dumpDataDir("none");
  }

  async close(): Promise<void> {
    await this.#server.close();
  }
}

/** The client's connection: what it writes is answered at once, without a socket. */
class Wire extends EventEmitter {
  readonly writable = true;
  readonly #server: PGlite;
  #corked: Uint8Array[] | undefined;

  constructor(server: PGlite) {
    super();
    this.#server = server;
  }

  connect(): this {
    queueMicrotask(() => this.emit("connect"));
    return this;
  }

  cork(): void {
    this.#corked ??= [];
  }

  uncork(): void {
    const corked = this.#corked ?? [];
    this.#corked = undefined;
    if (corked.length > 0) this.#send(Buffer.concat(corked));
  }

  write(data: Uint8Array, done?: () => void): boolean {
    if (this.#corked) this.#corked.push(data);
    else this.#send(data);
    done?.();
    return true;
  }

  #send(data: Uint8Array): void {
    const answer = this.#server.execProtocolRawSync(data);
    if (answer.length > 0) queueMicrotask(() => this.emit("data", Buffer.from(answer)));
  }

  end(): void {
    queueMicrotask(() => this.emit("close"));
  }

  destroy(): void {}
  setNoDelay(): void {}
  setKeepAlive(): void {}
  ref(): void {}
  unref(): void {}
}

/** Stands for a pool over the one session: who wants a connection waits for its turn. */
export class SerialPool {
  readonly #client: pg.Client;
  #turn: Promise<void> = Promise.resolve();

  constructor(client: pg.Client) {
    this.#client = client;
  }

  async connect(): Promise<{ query: pg.Client["query"]; release(): void }> {
    let release = (): void => {};
    const before = this.#turn;
    this.#turn = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    return { query: this.#client.query.bind(this.#client), release };
  }

  async query(...words: unknown[]): Promise<unknown> {
    const client = await this.connect();
    try {
      return await (client.query as (...words: unknown[]) => Promise<unknown>)(...words);
    } finally {
      client.release();
    }
  }

  async end(): Promise<void> {}
  on(): void {}
}
