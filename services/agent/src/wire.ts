import { z } from "zod";
import { DELEGATED_LAUNCHERS, DEVICE_VENDORS, PROGRESS_PRESETS, SIGNALS } from "@muster/model";
import type { AttemptKey, SealCheckpoint, WorkerKey, WorkerStart, WorkerStop } from "@muster/engine";

/* What travels over the socket, checked at the door. Types are the engine contract's; what is beyond them is left out. */

const text = z
  .string()
  .max(131_072)
  .refine((value) => !value.includes("\0"), "must not contain a NUL character");
const attempt = {
  job: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "expected a job id"),
  incarnation: z.string().regex(/^(0|[1-9]\d{0,17})$/, "expected a decimal of at most 18 digits"),
  attempt: z.int().min(1),
};
const worker = {
  ...attempt,
  worker: z
    .string()
    .max(80)
    .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/\d{1,6}$/, "expected role/rank, such as worker/0"),
};
const relative = z
  .string()
  .min(1)
  .max(512)
  .refine(
    (path) => !path.startsWith("/") && !path.split("/").some((part) => part === ".." || part === "" || part === "."),
    "expected a relative path without '..'",
  );
const absolute = z
  .string()
  .max(4096)
  .refine((path) => path.startsWith("/") && !path.includes("\0") && !path.split("/").includes(".."), "expected an absolute path without '..'");
const project = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, "expected a project's name");
const envName = z
  .string()
  .max(256)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected a variable's name");
const named = z
  .string()
  .max(256)
  .regex(/^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/, "expected folder/name")
  .refine((value) => !value.split("/").some((part) => part === "." || part === ".."), "must not contain '..'");

export const attemptKey: z.ZodType<AttemptKey> = z.object(attempt);
export const workerKey: z.ZodType<WorkerKey> = z.object(worker);

export const workerStart: z.ZodType<WorkerStart> = z.object({
  ...worker,
  node: z.string().max(253),
  project,
  role: z.string().max(63),
  nodeRank: z.int().min(0),
  argv: z.array(text).min(1).max(8192),
  env: z.record(envName, text),
  files: z.array(z.strictObject({ path: relative, content: z.string().max(8 << 20), mode: z.int().min(0).max(0o777).exactOptional() })).max(256),
  devices: z.strictObject({ vendor: z.enum(DEVICE_VENDORS), indices: z.array(z.int().min(0)).max(1024), share: z.number().min(0) }),
  limits: z.strictObject({ cpus: z.number().min(0), memory: z.number().min(0) }),
  source: z
    .union([
      z.strictObject({ git: text, commit: z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, "expected a commit's full hash") }),
      z.strictObject({ dir: absolute }),
    ])
    .exactOptional(),
  workdir: relative.exactOptional(),
  secrets: z.array(z.strictObject({ env: envName, from: named })).max(64),
  mounts: z.array(z.strictObject({ at: absolute, from: named, readOnly: z.boolean() })).max(64),
  token: text,
  delegated: z.strictObject({ kind: z.enum(DELEGATED_LAUNCHERS), runtime: z.string().exactOptional() }).exactOptional(),
  checkpoint: z.strictObject({
    dir: absolute.exactOptional(),
    signal: z.enum(SIGNALS).exactOptional(),
    marker: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,255}$/)
      .refine((name) => name !== "." && name !== "..")
      .exactOptional(),
    committed: z.string().max(1024).exactOptional(),
    reports: z.boolean(),
    resumeFrom: text.exactOptional(),
  }),
  progress: z.union([z.strictObject({ preset: z.enum(PROGRESS_PRESETS) }), z.strictObject({ pattern: z.string().max(1024) })]),
  watch: z.array(z.strictObject({ id: z.string().max(128), pattern: z.string().max(1024) })).max(128),
  firstRank: z.int().min(0),
  ranks: z.int().min(0),
});

export const workerStop: z.ZodType<WorkerStop> = z.object({
  ...worker,
  mode: z.enum(["graceful", "kill"]),
  grace: z.number().min(0).max(3_153_600_000),
  inspect: z.boolean().exactOptional(),
});

export const sealCheckpoint: z.ZodType<SealCheckpoint> = z.object({
  ...attempt,
  node: z.string().max(253),
  project,
  dir: absolute.exactOptional(),
  step: z.int().min(0),
  path: text,
  name: z.string().regex(/^\d{1,18}-[A-Za-z0-9_-]{1,64}$/, "expected <step>-<id>"),
  keep: z.array(z.string().regex(/^\d{1,18}-[A-Za-z0-9_-]{1,64}$/)).max(1000),
});

export const logQuery = z.strictObject({
  ...worker,
  attempt: z.coerce.number().int().min(1),
  offset: z.coerce.number().int().min(0),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(8 << 20),
});
