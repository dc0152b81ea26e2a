import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { DirectoryLogStore } from "@muster/logs";
import { makeId, poolSpec, projectSpec, queueSpec, type Role } from "@muster/model";
import { ensureCluster, ensureShard, insertToken, putNode, putPool, putProject, putQueue, type Pool } from "@muster/store";
import { testDatabase } from "@muster/store/testing";
import { tokenHash } from "../access/authenticator.ts";
import { createApi, type Api, type ApiOptions } from "../api.ts";
import type { Limits } from "../limits.ts";

export interface Answer {
  status: number;
  headers: Record<string, unknown>;
  text: string;
  json: unknown;
}

export interface TestApi {
  api: Api;
  pool: Pool;
  logs: DirectoryLogStore;
  /** A token of all projects with the role admin. */
  admin: string;
  token(role: Role, project?: string | null, subject?: string): Promise<string>;
  call(method: string, path: string, options?: { token?: string | null; body?: unknown; headers?: Record<string, string> }): Promise<Answer>;
  close(): Promise<void>;
}

/** An API over a database of its own, with two projects, two queues and a pool of four nodes of eight devices. */
export async function testApi(limits: Partial<Limits> = {}, more: Partial<ApiOptions> = {}): Promise<TestApi> {
  const database = await testDatabase();
  const { pool } = database;
  const folder = await mkdtemp(join(tmpdir(), "muster-api-"));
  const logs = new DirectoryLogStore(folder);
  await ensureCluster(pool);
  for (const name of ["default", "own", "other"]) await putProject(pool, projectSpec.parse({ name }));
  await putQueue(pool, queueSpec.parse({ name: "default", projects: ["*"] }));
  await putQueue(pool, queueSpec.parse({ name: "private", projects: ["other"] }));
  await putPool(pool, poolSpec.parse({ name: "h800", engine: "simulated", vendor: "nvidia", accelerator: "h800" }));
  await ensureShard(pool, "h800", "simulated");
  for (let i = 0; i < 4; i++) {
    await putNode(pool, {
      name: `n${i}`,
      pool: "h800",
      shard: "h800",
      fabric: ["z", "s", `l${i >> 1}`],
      devices: 8,
      deviceMemory: 0,
      cpuMillis: 64_000,
      memory: 2 ** 40,
      address: "127.0.0.1",
      labels: {},
    });
  }
  const api = await createApi({ databaseUrl: database.url, logs, limits, ...more });
  const makeToken = async (role: Role, project: string | null = null, subject = `${role}-${project ?? "all"}`): Promise<string> => {
    const token = `mus_${randomBytes(24).toString("base64url")}`;
    await insertToken(pool, {
      id: makeId("tok", Date.now(), randomBytes(10)),
      hash: tokenHash(token),
      subject,
      project,
      role,
      description: "",
      expiresIn: null,
    });
    return token;
  };
  const admin = await makeToken("admin");
  return {
    api,
    pool,
    logs,
    admin,
    token: makeToken,
    async call(method, path, { token = admin, body, headers } = {}) {
      const yaml = typeof body === "string";
      const response = await api.app.inject({
        method: method as "GET",
        url: path,
        headers: {
          ...(token !== null && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { "content-type": yaml ? "application/yaml" : "application/json" }),
          ...headers,
        },
        ...(body !== undefined && { payload: yaml ? body : JSON.stringify(body) }),
      });
      const isJson = /json/.test(String(response.headers["content-type"]));
      return { status: response.statusCode, headers: response.headers, text: response.payload, json: isJson ? response.json() : undefined };
    },
    async close() {
      await api.close();
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
