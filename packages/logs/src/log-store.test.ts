import { mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DirectoryLogStore } from "./directory-store.ts";
import { logKey, logPrefix } from "./keys.ts";
import type { LogLimits, LogStore } from "./log-store.ts";
import { openLogStore } from "./open-log-store.ts";
import { S3LogStore } from "./s3-store.ts";
import { S3Server } from "./testing/s3-server.ts";

const limits: LogLimits = { chunk: 8, maxStream: 24 };
const JOB = "job_01jd1m2t7qk5x8w3v9r4c6b2zh";
const key = logKey({ job: JOB, incarnation: "7", attempt: 1, worker: "worker-0" });
const other = logKey({ job: JOB, incarnation: "7", attempt: 1, worker: "worker-01" });

let folder: string;
let s3: S3Server;
let endpoint: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "muster-logs-"));
  s3 = new S3Server();
  endpoint = await s3.start();
  process.env["AWS_ACCESS_KEY_ID"] = "test";
  process.env["AWS_SECRET_ACCESS_KEY"] = "test";
});
afterEach(async () => {
  await s3.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Kind {
  name: string;
  open: () => LogStore;
  /** Makes every first write of a job fail from now on. */
  fill: () => void;
  /** Makes everything kept look as old as this, in milliseconds. */
  age: (milliseconds: number) => Promise<void>;
  files: () => Promise<number>;
}

const kinds: Kind[] = [
  {
    name: "a folder",
    open: () => new DirectoryLogStore(folder, limits),
    fill: () => {
      // a file where a folder should be: like a full disk, it fails for root too
      writeFileSync(join(folder, logPrefix(JOB).split("/")[0] as string), "");
    },
    age: async (milliseconds) => {
      const at = new Date(Date.now() - milliseconds);
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
        if (entry.isFile()) utimesSync(join(entry.parentPath, entry.name), at, at);
    },
    files: async () => (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length,
  },
  {
    name: "an S3-compatible store",
    open: () => new S3LogStore({ bucket: "logs", prefix: "muster/logs", endpoint }, limits),
    fill: () => (s3.full = true),
    age: async (milliseconds) => {
      for (const object of s3.objects.values()) object.at = new Date(Date.now() - milliseconds);
    },
    files: async () => s3.objects.size,
  },
];

async function readAll(store: LogStore, of: string, from = 0): Promise<string> {
  let text = "";
  for (let at = from; ; ) {
    const part = await store.read(of, at, 5);
    if (part.bytes.length === 0) return text;
    text += part.bytes.toString();
    at = part.offset + part.bytes.length;
  }
}

describe.each(kinds)("$name", ({ open, fill, age, files }) => {
  let store: LogStore;
  beforeEach(() => {
    store = open();
  });
  afterEach(() => store.close());

  test("keeps what is appended, over chunks and over a restart", async () => {
    expect(await store.size(key)).toBe(0);
    expect(await store.append(key, 0, Buffer.from("one two "))).toEqual({ next: 8, dropped: 0, problem: null });
    await store.append(key, 8, Buffer.from("thr"));
    const again = open();
    await again.append(key, 11, Buffer.from("ee four"));
    expect(await readAll(again, key)).toBe("one two three four");
    expect(await again.size(key)).toBe(18);
    expect((await again.read(key, 4, 3)).bytes.toString()).toBe("two");
    expect(await again.read(key, 18, 5)).toEqual({ offset: 18, bytes: Buffer.alloc(0) });
    await again.close();
  });

  test("keeps nothing twice, whatever is sent again", async () => {
    await store.append(key, 0, Buffer.from("abcdef"));
    await store.append(key, 0, Buffer.from("abcdef"));
    await store.append(key, 3, Buffer.from("defgh"));
    expect(await store.append(key, 1, Buffer.from("bc"))).toEqual({ next: 6 + 2, dropped: 0, problem: null });
    expect(await readAll(store, key)).toBe("abcdefgh");
  });

  test("a gap moves nothing: what comes after keeps its offset", async () => {
    await store.append(key, 0, Buffer.from("head"));
    await store.append(key, 10, Buffer.from("tail"));
    expect(await store.read(key, 4, 100)).toEqual({ offset: 10, bytes: Buffer.from("tail") });
    expect(await store.size(key)).toBe(14);
  });

  test("a stream beyond its limit loses its oldest chunks", async () => {
    const text = "abcdefgh".repeat(6);
    for (let at = 0; at < text.length; at += 4) await store.append(key, at, Buffer.from(text.slice(at, at + 4)));
    const first = await store.read(key, 0, 100);
    expect(first.offset).toBe(text.length - limits.maxStream);
    expect(await readAll(store, key)).toBe(text.slice(first.offset));
  });

  test("streams whose names begin alike are apart", async () => {
    await store.append(key, 0, Buffer.from("one"));
    await store.append(other, 0, Buffer.from("another"));
    expect([await readAll(store, key), await readAll(store, other)]).toEqual(["one", "another"]);
    await store.remove(key);
    expect([await store.size(key), await store.size(other)]).toEqual([0, 7]);
  });

  test("all of a job is removed together, and nothing of another", async () => {
    const neighbour = logKey({ job: JOB.replace(/h$/, "j"), incarnation: "7", attempt: 1, worker: "worker-0" });
    for (const one of [key, other, neighbour]) await store.append(one, 0, Buffer.from("x".repeat(20)));
    await store.remove(logPrefix(JOB));
    expect([await store.size(key), await store.size(other), await store.size(neighbour)]).toEqual([0, 0, 20]);
  });

  test("a full store drops what comes, says so, and keeps working", async () => {
    fill();
    const answer = await store.append(key, 0, Buffer.from("lost"));
    expect(answer).toMatchObject({ next: 4, dropped: 4 });
    expect(answer.problem).toBeTruthy();
  });

  test("prunes what is old, then what is too much, oldest first", async () => {
    await store.append(key, 0, Buffer.from("old old old "));
    await age(3_600_000);
    await store.append(other, 0, Buffer.from("new"));
    expect(await store.prune({ maxAge: 7_200_000, maxTotal: 100 }, Date.now())).toEqual({ files: 0, bytes: 0, left: 15 });
    expect(await store.prune({ maxAge: 60_000 }, Date.now())).toEqual({ files: 2, bytes: 12, left: 3 });
    expect([await store.size(key), await store.size(other)]).toEqual([0, 3]);
    expect(await store.prune({ maxTotal: 2 }, Date.now())).toEqual({ files: 1, bytes: 3, left: 0 });
    expect(await files()).toBe(0);
  });

  test("refuses keys that lead elsewhere", async () => {
    for (const bad of ["../x", "/etc/passwd", "a/../../b", "", "a//b", "a/.hidden", "a\0b", "x".repeat(3) + "/..", "C:\\x"]) {
      await expect(store.append(bad, 0, Buffer.from("x"))).rejects.toThrow("not a key");
      await expect(store.read(bad, 0, 1)).rejects.toThrow("not a key");
      await expect(store.remove(bad)).rejects.toThrow("not a key");
    }
  });
});

test("a link in the place of a chunk is not followed", async () => {
  const store = new DirectoryLogStore(folder, limits);
  await store.append(key, 0, Buffer.from("12345678"));
  const target = join(folder, "victim");
  writeFileSync(target, "untouched");
  symlinkSync(target, join(folder, `${key}.000000000000008`));
  expect(await readAll(store, key)).toBe("12345678");
  expect((await store.append(key, 8, Buffer.from("x"))).dropped).toBe(1);
  expect(readFileSync(target, "utf8")).toBe("untouched");
});

test("an address opens a folder or a bucket, and nothing else", () => {
  expect(openLogStore("/var/lib/muster/logs")).toBeInstanceOf(DirectoryLogStore);
  expect(openLogStore("s3://bucket/prefix?region=eu-west-1")).toBeInstanceOf(S3LogStore);
  for (const bad of ["http://x/y", "s3://user:secret@bucket/x", "s3://bucket?key=secret"]) expect(() => openLogStore(bad)).toThrow(/expected/);
});
