import type { S3Client } from "@aws-sdk/client-s3";
import { checkKey, chunkName, parseChunk } from "./keys.ts";
import { DEFAULT_LOG_LIMITS, type Appended, type LogLimits, type LogPart, type LogRetention, type LogStore, type Pruned } from "./log-store.ts";

export interface S3Options {
  bucket: string;
  /** Put before every key, without slashes at its ends. */
  prefix?: string;
  region?: string;
  /** Of a store that is not Amazon's. */
  endpoint?: string;
}

interface Chunk {
  name: string;
  offset: number;
  size: number;
}

/** Streams whose newest chunk the writer keeps in memory, so that it need not read it again to add to it. */
const MOST_OPEN = 256;
/** Objects that one request deletes, as S3 has it. */
const DELETE_AT_ONCE = 1000;

type Sdk = typeof import("@aws-sdk/client-s3");

/**
 * Logs in an S3-compatible store: objects can't be appended to, so the newest chunk of a stream is written anew with what
 * came, until it is full. Credentials come from where the AWS SDK finds them (environment, files, roles).
 */
export class S3LogStore implements LogStore {
  readonly #options: S3Options;
  readonly #limits: LogLimits;
  readonly #tails = new Map<string, { offset: number; bytes: Buffer }>();
  #connected: Promise<{ sdk: Sdk; client: S3Client }> | undefined;

  constructor(options: S3Options, limits: Partial<LogLimits> = {}) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LOG_LIMITS, ...limits };
  }

  async append(key: string, offset: number, bytes: Uint8Array): Promise<Appended> {
    checkKey(key);
    const end = offset + bytes.length;
    let kept = offset;
    try {
      const chunks = await this.#chunks(key);
      const last = chunks.at(-1);
      kept = last ? last.offset + last.size : 0;
      let at = Math.max(offset, Math.min(kept, end));
      let rest = Buffer.from(bytes.subarray(at - offset));
      if (rest.length === 0) return { next: Math.max(kept, end), dropped: 0, problem: null };
      let from = at;
      if (last && at === kept && last.size < this.#limits.chunk) {
        rest = Buffer.concat([await this.#tail(key, last), rest]);
        from = last.offset;
      }
      for (at = from; rest.length > 0; ) {
        const part = rest.subarray(0, this.#limits.chunk);
        await this.#put(key, at, part);
        at += part.length;
        kept = at;
        rest = rest.subarray(part.length);
      }
      if (end - (chunks[0]?.offset ?? offset) > this.#limits.maxStream) await this.#rotate(key);
      return { next: end, dropped: 0, problem: null };
    } catch (error) {
      this.#tails.delete(key);
      return { next: end, dropped: Math.max(0, end - Math.max(offset, kept)), problem: error instanceof Error ? error.message || error.name : String(error) };
    }
  }

  async read(key: string, offset: number, limit: number): Promise<LogPart> {
    checkKey(key);
    const chunk = (await this.#chunks(key)).find((one) => one.offset + one.size > offset);
    if (!chunk || limit <= 0) return { offset, bytes: Buffer.alloc(0) };
    const from = Math.max(offset, chunk.offset);
    const to = Math.min(from + limit, chunk.offset + chunk.size);
    return { offset: from, bytes: await this.#get(chunk.name, from - chunk.offset, to - chunk.offset) };
  }

  async size(key: string): Promise<number> {
    checkKey(key);
    const last = (await this.#chunks(key)).at(-1);
    return last ? last.offset + last.size : 0;
  }

  async remove(prefix: string): Promise<void> {
    checkKey(prefix);
    for (const key of this.#tails.keys()) if (key === prefix || key.startsWith(`${prefix}/`)) this.#tails.delete(key);
    const names: string[] = [];
    for await (const object of this.#list(prefix)) {
      const rest = object.name.slice(prefix.length);
      if (rest.startsWith("/") || parseChunk(object.name)?.key === prefix) names.push(object.name);
    }
    await this.#delete(names);
  }

  async prune({ maxAge, maxTotal }: LogRetention, now: number): Promise<Pruned> {
    const all: { name: string; size: number; at: number }[] = [];
    for await (const object of this.#list("")) if (parseChunk(object.name)) all.push(object);
    all.sort((a, b) => a.at - b.at);
    let left = all.reduce((sum, object) => sum + object.size, 0);
    const gone: string[] = [];
    let bytes = 0;
    for (const object of all) {
      if (!((maxAge !== undefined && now - object.at > maxAge) || (maxTotal !== undefined && left > maxTotal))) break;
      gone.push(object.name);
      left -= object.size;
      bytes += object.size;
    }
    await this.#delete(gone);
    if (gone.length > 0) this.#tails.clear();
    return { files: gone.length, bytes, left };
  }

  async close(): Promise<void> {
    if (this.#connected) (await this.#connected).client.destroy();
  }

  /** The SDK is large: it is loaded when it is first needed. */
  #connect(): Promise<{ sdk: Sdk; client: S3Client }> {
    this.#connected ??= import("@aws-sdk/client-s3").then((sdk) => ({
      sdk,
      client: new sdk.S3Client({
        region: this.#options.region ?? "us-east-1",
        ...(this.#options.endpoint !== undefined && { endpoint: this.#options.endpoint, forcePathStyle: true }),
        maxAttempts: 3,
        // stores other than Amazon's don't all know the newer checksums
        requestChecksumCalculation: "WHEN_REQUIRED",
        responseChecksumValidation: "WHEN_REQUIRED",
      }),
    }));
    return this.#connected;
  }

  #path(name: string): string {
    return this.#options.prefix ? `${this.#options.prefix}/${name}` : name;
  }

  async #put(key: string, offset: number, bytes: Buffer): Promise<void> {
    const { sdk, client } = await this.#connect();
    await client.send(
      new sdk.PutObjectCommand({ Bucket: this.#options.bucket, Key: this.#path(chunkName(key, offset)), Body: bytes, ContentType: "text/plain" }),
    );
    this.#tails.delete(key);
    this.#tails.set(key, { offset, bytes: Buffer.from(bytes) });
    const oldest = this.#tails.size > MOST_OPEN ? this.#tails.keys().next().value : undefined;
    if (oldest !== undefined) this.#tails.delete(oldest);
  }

  async #get(name: string, from: number, to: number): Promise<Buffer> {
    const { sdk, client } = await this.#connect();
    const answer = await client.send(new sdk.GetObjectCommand({ Bucket: this.#options.bucket, Key: this.#path(name), Range: `bytes=${from}-${to - 1}` }));
    return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
  }

  /** The newest chunk's bytes: from memory where that is still what the store has. */
  async #tail(key: string, last: Chunk): Promise<Buffer> {
    const known = this.#tails.get(key);
    if (known?.offset === last.offset && known.bytes.length === last.size) return known.bytes;
    return last.size === 0 ? Buffer.alloc(0) : this.#get(last.name, 0, last.size);
  }

  async *#list(prefix: string): AsyncGenerator<{ name: string; size: number; at: number }> {
    const { sdk, client } = await this.#connect();
    const start = this.#path("");
    let token: string | undefined;
    do {
      const page = await client.send(
        new sdk.ListObjectsV2Command({ Bucket: this.#options.bucket, Prefix: this.#path(prefix), ...(token !== undefined && { ContinuationToken: token }) }),
      );
      for (const object of page.Contents ?? []) {
        if (object.Key) yield { name: object.Key.slice(start.length), size: object.Size ?? 0, at: object.LastModified?.getTime() ?? 0 };
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }

  async #chunks(key: string): Promise<Chunk[]> {
    const chunks: Chunk[] = [];
    for await (const { name, size } of this.#list(`${key}.`)) {
      const chunk = parseChunk(name);
      if (chunk?.key === key) chunks.push({ name, offset: chunk.offset, size });
    }
    return chunks.sort((a, b) => a.offset - b.offset);
  }

  async #rotate(key: string): Promise<void> {
    const chunks = await this.#chunks(key);
    let total = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
    const gone: string[] = [];
    for (const chunk of chunks.slice(0, -1)) {
      if (total <= this.#limits.maxStream) break;
      gone.push(chunk.name);
      total -= chunk.size;
    }
    await this.#delete(gone);
  }

  async #delete(names: readonly string[]): Promise<void> {
    const { sdk, client } = await this.#connect();
    for (let from = 0; from < names.length; from += DELETE_AT_ONCE) {
      const objects = names.slice(from, from + DELETE_AT_ONCE).map((name) => ({ Key: this.#path(name) }));
      const answer = await client.send(new sdk.DeleteObjectsCommand({ Bucket: this.#options.bucket, Delete: { Objects: objects, Quiet: true } }));
      const failed = answer.Errors?.[0];
      if (failed) throw new Error(`${failed.Key}: ${failed.Message ?? failed.Code}`);
    }
  }
}
