import { setTimeout as delay } from "node:timers/promises";
import { KubeError, type KubeApi, type KubeObject } from "./api.ts";

/*
 * One collection, kept current: a list, then a watch from its version on. A list is the truth, so one is taken again every
 * few minutes, and whenever the server has forgotten our version (410). A watch that breaks goes on where it was, after a
 * growing pause; one that falls silent is broken off: bookmarks come about each minute, and what we wrote ourselves must come back.
 */

export interface InformerOptions<T> {
  api: Pick<KubeApi, "ask" | "stream">;
  path: string;
  query?: Record<string, string>;
  /** What is kept of an object. */
  trim: (object: KubeObject) => T;
  /** An object is new, changed or (undefined) gone. Called for every difference, in order. */
  changed: (name: string, now: T | undefined, before: T | undefined) => void;
  /** A list has been taken in whole. */
  listed?: () => void;
  trouble?: (error: unknown) => void;
  relistEvery?: number;
  silentAfter?: number;
  echoWithin?: number;
}

interface Kept<T> {
  version: number;
  uid: string;
  value: T;
}

interface Event {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: KubeObject & { code?: number; message?: string };
}

const PAGE = 500;
const RELIST_MS = 180_000;
const SILENT_MS = 90_000;
const ECHO_MS = 10_000;
const SHORT_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

/** The server doesn't have our version any more. */
class Expired extends Error {}

export class Informer<T> {
  /** When anything was last heard of the collection; 0 before the first list. */
  heard = 0;
  /** Lists taken, and watches begun. */
  lists = 0;
  watches = 0;
  private readonly options: InformerOptions<T>;
  private readonly kept = new Map<string, Kept<T>>();
  /** Our own writes that no watch has brought back yet. */
  private readonly echoes = new Map<string, { version: number; since: number }>();
  private readonly abort = new AbortController();
  private synced!: () => void;
  private readonly first: Promise<void>;
  private running: Promise<void> | undefined;
  /** What has been taken in so far; undefined: a list is due. */
  private version: string | undefined;

  constructor(options: InformerOptions<T>) {
    this.options = options;
    this.first = new Promise((resolve) => {
      this.synced = resolve;
    });
  }

  start(): void {
    this.running ??= this.run();
  }

  /** Resolves when the first list is in. */
  ready(): Promise<void> {
    return this.first;
  }

  /** Milliseconds since anything was heard. */
  age(): number {
    return this.heard === 0 ? Number.POSITIVE_INFINITY : Date.now() - this.heard;
  }

  get(name: string): T | undefined {
    return this.kept.get(name)?.value;
  }

  *values(): IterableIterator<T> {
    for (const { value } of this.kept.values()) yield value;
  }

  get size(): number {
    return this.kept.size;
  }

  /** Takes in what a write of ours was answered with, and expects the watch to bring it back. */
  put(object: KubeObject): void {
    const name = object.metadata.name as string;
    this.take(object);
    this.echoes.set(name, { version: versionOf(object), since: Date.now() });
  }

  async stop(): Promise<void> {
    this.abort.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.abort;
    let listedAt = 0;
    for (let failures = 0; !signal.aborted; ) {
      try {
        if (this.version === undefined || Date.now() - listedAt > (this.options.relistEvery ?? RELIST_MS)) {
          this.version = await this.list();
          listedAt = Date.now();
          this.synced();
          this.options.listed?.();
        }
        const until = listedAt + (this.options.relistEvery ?? RELIST_MS);
        const began = Date.now();
        await this.watch(this.version, until, () => {
          failures = 0;
        });
        // a server that ends watches at once isn't asked without a pause
        if (Date.now() - began < SHORT_MS) await delay(SHORT_MS, undefined, { signal }).catch(() => {});
      } catch (error) {
        if (signal.aborted) break;
        if (error instanceof Expired) {
          this.version = undefined;
        } else {
          this.options.trouble?.(error);
          failures++;
          await delay(Math.random() * Math.min(LONGEST_PAUSE_MS, 100 * 2 ** failures), undefined, { signal }).catch(() => {});
        }
      }
    }
  }

  private async list(): Promise<string> {
    const { api, path, query } = this.options;
    this.lists++;
    const seen = new Set<string>();
    let version = "";
    let next: string | undefined;
    do {
      let page: { metadata: { resourceVersion?: string; continue?: string }; items: KubeObject[] };
      try {
        page = await api.ask({ method: "GET", path, query: { ...query, limit: PAGE, continue: next } });
      } catch (error) {
        if (error instanceof KubeError && error.status === 410) throw new Expired();
        throw error;
      }
      this.heard = Date.now();
      version = page.metadata.resourceVersion ?? "";
      for (const object of page.items) {
        seen.add(object.metadata.name as string);
        this.take(object);
      }
      next = page.metadata.continue === "" ? undefined : page.metadata.continue;
    } while (next !== undefined && !this.abort.signal.aborted);
    const listed = Number(version);
    // what we wrote while the list was on its way isn't in it, and isn't gone
    for (const [name, one] of this.kept) if (!seen.has(name) && one.version <= listed) this.drop(name);
    for (const [name, echo] of this.echoes) if (echo.version <= listed) this.echoes.delete(name);
    return version;
  }

  /** Follows changes until `until`, or the connection ends. */
  private async watch(from: string, until: number, alive: () => void): Promise<void> {
    const { api, path, query, silentAfter = SILENT_MS, echoWithin = ECHO_MS } = this.options;
    this.watches++;
    const abort = new AbortController();
    const signal = AbortSignal.any([abort.signal, this.abort.signal]);
    const began = Date.now();
    const seconds = Math.max(1, Math.ceil((until - began) / 1000));
    const guard = setInterval(() => {
      const now = Date.now();
      const lost = [...this.echoes.values()].some(({ since }) => now - Math.max(since, began) > echoWithin);
      if (lost || now - Math.max(this.heard, began) > silentAfter || now > until + 1000) abort.abort();
    }, 500);
    try {
      const body = await api.stream(path, { ...query, watch: true, allowWatchBookmarks: true, resourceVersion: from, timeoutSeconds: seconds }, signal);
      for await (const line of linesOf(body)) {
        this.heard = Date.now();
        alive();
        const event = JSON.parse(line) as Event;
        if (event.type === "ERROR") {
          if (event.object.code === 410) throw new Expired();
          throw new KubeError(event.object.code ?? 500, "", event.object.message ?? "the watch was ended");
        }
        if (event.type === "DELETED") this.drop(event.object.metadata.name as string, event.object);
        else if (event.type !== "BOOKMARK") this.take(event.object);
        // kept at once: a connection that breaks is gone on with from here
        this.version = event.object.metadata.resourceVersion ?? this.version;
        if (event.type !== "BOOKMARK") this.heed(event.object);
      }
    } catch (error) {
      if (error instanceof KubeError && error.status === 410) throw new Expired();
      if (!abort.signal.aborted) throw error;
      // broken off by ourselves: it goes on from where it was
      for (const echo of this.echoes.values()) echo.since = Date.now();
    } finally {
      clearInterval(guard);
      abort.abort();
    }
  }

  private heed(object: KubeObject): void {
    const name = object.metadata.name as string;
    const echo = this.echoes.get(name);
    if (echo && versionOf(object) >= echo.version) this.echoes.delete(name);
  }

  private take(object: KubeObject): void {
    const name = object.metadata.name as string;
    const version = versionOf(object);
    const before = this.kept.get(name);
    const uid = object.metadata.uid ?? "";
    if (before && before.version >= version) return;
    // another object of the same name: the former one is gone
    if (before && before.uid !== uid) this.drop(name);
    const value = this.options.trim(object);
    this.kept.set(name, { version, uid, value });
    this.options.changed(name, value, before?.uid === uid ? before.value : undefined);
  }

  /** @param last as it was when it went: its last state may never have been seen otherwise */
  private drop(name: string, last?: KubeObject): void {
    const before = this.kept.get(name);
    if (last) {
      if (before && before.uid !== (last.metadata.uid ?? "")) return;
      this.take(last);
    }
    const value = this.kept.get(name)?.value;
    if (!this.kept.delete(name)) return;
    this.echoes.delete(name);
    this.options.changed(name, undefined, value);
  }
}

function versionOf(object: KubeObject): number {
  return Number(object.metadata.resourceVersion ?? 0);
}

async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  for await (const data of body) {
    let at = 0;
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, at)) {
      rest.push(data.subarray(at, end));
      const line = (rest.length === 1 ? (rest[0] as Buffer) : Buffer.concat(rest)).toString("utf8");
      rest = [];
      at = end + 1;
      if (line !== "") yield line;
    }
    if (at < data.length) rest.push(Buffer.from(data.subarray(at)));
  }
}
