import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { testDatabase, type TestDatabase } from "@muster/store/testing";

let database: TestDatabase;
let folder: string;
beforeAll(async () => {
  database = await testDatabase();
  folder = mkdtempSync(join(tmpdir(), "muster-main-"));
});
afterAll(async () => {
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

interface Started {
  child: ChildProcess;
  output: () => string;
  exit: Promise<number | null>;
}

function start(env: Record<string, string>, ...words: string[]): Started {
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), ...words], {
    env: { PATH: process.env["PATH"] ?? "", DATABASE_URL: database.url, MUSTER_PORT: "0", MUSTER_LOG_STORE: join(folder, "logs"), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return { child, output: () => text, exit: new Promise((resolve) => child.once("exit", resolve)) };
}

async function address(started: Started): Promise<string> {
  return vi.waitFor(
    () => {
      const found = /"address":"([^"]+)"/.exec(started.output())?.[1];
      if (found === undefined) throw new Error(`it does not listen: ${started.output()}`);
      return found;
    },
    { timeout: 40_000, interval: 50 },
  );
}

test("runs alone over a database, and ends when asked", async () => {
  const api = start({});
  try {
    const url = await address(api);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect((await fetch(`${url}/v1/me`)).status).toBe(401);
  } finally {
    api.child.kill("SIGTERM");
  }
  expect(await api.exit).toBe(0);
});

test("speaks TLS with the files that it is given", async () => {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  execFileSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "1",
      "-subj",
      "/CN=localhost",
      "-keyout",
      key,
      "-out",
      cert,
    ],
    { stdio: "ignore" },
  );
  const api = start({ MUSTER_TLS_CERT: cert, MUSTER_TLS_KEY: key });
  try {
    const url = await address(api);
    const answer = await new Promise<{ status: number | undefined; transport: unknown }>((resolve, reject) => {
      request(`${url}/healthz`, { rejectUnauthorized: false }, (response) => {
        response.resume();
        resolve({ status: response.statusCode, transport: response.headers["strict-transport-security"] });
      })
        .once("error", reject)
        .end();
    });
    expect(url).toMatch(/^https:/);
    expect(answer).toEqual({ status: 200, transport: expect.stringContaining("max-age") });
  } finally {
    api.child.kill("SIGTERM");
  }
  expect(await api.exit).toBe(0);
});

test("does not listen beyond this machine in clear text unless told", async () => {
  const api = start({ MUSTER_HOST: "0.0.0.0" });
  expect(await api.exit).toBe(2);
  expect(api.output()).toContain("--insecure");
});

test("a first token is made in the database itself, told once, and kept as a hash", async () => {
  const make = (...words: string[]) =>
    spawnSync(process.execPath, [join(import.meta.dirname, "create-token.ts"), ...words], {
      env: { PATH: process.env["PATH"], DATABASE_URL: database.url },
      encoding: "utf8",
    });
  expect(make("--subject", "root", "--role", "king")).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining("--role") });
  expect(make("--subject", "root", "--role", "viewer", "--project", "nowhere")).toMatchObject({
    status: 1,
    stdout: "",
    stderr: "--project: there is no project nowhere\n",
  });
  const made = make("--subject", "root", "--role", "admin");
  expect(made).toMatchObject({ status: 0, stderr: "", stdout: expect.stringMatching(/^mus_[\w-]{43}\n$/) });
  const token = made.stdout.trim();
  const { rows } = await database.pool.query("SELECT t.*, e.actor FROM tokens t JOIN events e ON e.data->>'token' = t.id");
  expect(rows).toMatchObject([{ subject: "root", role: "admin", project: null, actor: "create-token" }]);
  expect(JSON.stringify(rows)).not.toContain(token);
  const api = start({});
  try {
    const answer = await fetch(`${await address(api)}/v1/cluster`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(200);
  } finally {
    api.child.kill("SIGTERM");
  }
  expect(await api.exit).toBe(0);
  expect(api.output()).not.toContain(token);
});
