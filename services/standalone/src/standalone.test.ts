import { chmodSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clientDefaultsFile, readClientDefaults } from "@muster/client";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseArguments } from "./arguments.ts";
import { startStandalone, type Standalone } from "./standalone.ts";

const logger = pino({ level: "silent" });

describe("standalone", () => {
  let dir: string;
  let muster: Standalone;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "muster-standalone-"));
    chmodSync(dir, 0o711);
    muster = await startStandalone({ logger, stateDir: dir, port: 0, demoCluster: true });
  });
  afterAll(async () => {
    await muster.stop({ workers: "kill" });
    rmSync(dir, { recursive: true, force: true });
  });

  it("comes up with three pools of different makers, and a token that only its user can read", async () => {
    const pools = await Array.fromAsync(muster.client.pools.list());
    expect(pools.map((pool) => pool.vendor).sort()).toEqual(["amd", "ascend", "nvidia"]);
    expect(readClientDefaults(clientDefaultsFile(dir))).toEqual({ server: muster.url, token: muster.token });
    expect(statSync(clientDefaultsFile(dir)).mode & 0o777).toBe(0o600);
  });

  it("refuses to be started twice over one folder, and the first one goes on", async () => {
    await expect(startStandalone({ logger, stateDir: dir, port: 0 })).rejects.toThrow(/Another Muster runs over/);
    expect((await Array.fromAsync(muster.client.pools.list())).length).toBe(3);
  });

  it("keeps jobs and token over a restart, and runs jobs", async () => {
    const { token } = muster;
    const held = await muster.client.jobs.submit({ name: "kept", run: ["true"] }, { held: true });
    await muster.stop();
    muster = await startStandalone({ logger, stateDir: dir, port: 0, demoCluster: true });
    expect(muster.token).toBe(token);
    expect(await muster.client.jobs.get(held.id)).toMatchObject({ state: "held" });
    await muster.client.jobs.act(held.id, "release");
    await expect.poll(async () => (await muster.client.jobs.get(held.id)).state, { timeout: 30_000 }).toBe("succeeded");
  });

  it("records a fault while it holds its claim on the folder", async () => {
    const { id } = await muster.client.jobs.submit({ name: "breaks", run: ["false"], recovery: { max_restarts: 0 } });
    await expect.poll(async () => (await muster.client.jobs.get(id)).state, { timeout: 30_000 }).toBe("failed");
    expect((await Array.fromAsync(muster.client.incidents({ job: id }))).length).toBe(1);
  });
});

describe("parseArguments", () => {
  it("stays on loopback unless TLS or --insecure is given", () => {
    expect(parseArguments([], {})).toMatchObject({ host: "127.0.0.1", port: 7380, demoCluster: true });
    expect(() => parseArguments(["--host", "0.0.0.0"], {})).toThrow(/MUSTER_TLS_CERT/);
    expect(parseArguments(["--host", "0.0.0.0", "--insecure"], {})).toMatchObject({ host: "0.0.0.0" });
    expect(parseArguments(["--host", "0.0.0.0"], { MUSTER_TLS_CERT: "c", MUSTER_TLS_KEY: "k" })).toMatchObject({ tls: { certFile: "c", keyFile: "k" } });
    expect(() => parseArguments(["--port", "x"], {})).toThrow(/--port/);
  });
});
