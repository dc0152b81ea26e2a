import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { processesNaming } from "../../support/processes.ts";
import { noControlPlane } from "../ready.ts";
import { ApiClient } from "./api-client.ts";
import { ControlPlane } from "./control-plane.ts";

describe.skipIf(noControlPlane)("the control plane of the tests", () => {
  it("runs controllers and the scheduler, and its API server comes back with what it held", async () => {
    const plane = await ControlPlane.start();
    const { dir } = plane;
    try {
      const { admin } = plane;
      await admin.create("/api/v1/namespaces", { metadata: { name: "here" } });
      await until(() => admin.find("/api/v1/namespaces/here/serviceaccounts/default"));
      await admin.create("/api/v1/namespaces/here/pods", { metadata: { name: "one" }, spec: { containers: [{ name: "main", image: "none" }] } });
      const waiting = async (): Promise<unknown> =>
        (await admin.get("/api/v1/namespaces/here/pods/one")).status.conditions?.find((one: { reason: string }) => one.reason === "Unschedulable");
      await until(waiting);
      await plane.restartApiserver();
      await plane.compact();
      expect(await waiting()).toBeDefined();
    } finally {
      await plane.stop();
    }
    expect(processesNaming(dir)).toEqual([]);
  });

  it("ends when the process that started it is killed, and so do its pods", async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), "node-a"], { stdio: ["ignore", "pipe", "inherit"] });
    const [kubeconfig] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
    const dir = dirname(kubeconfig);
    const config = JSON.parse(readFileSync(kubeconfig, "utf8"));
    const { server: url, "certificate-authority-data": ca } = config.clusters[0].cluster;
    const admin = new ApiClient(() => ({ url, ca: Buffer.from(ca, "base64").toString(), token: config.users[0].user.token }));
    const spec = { containers: [{ name: "main", image: "any", command: ["/bin/sh", "-c", "for i in $(seq 600); do sleep 0.1; done", dir] }] };
    await admin.create("/api/v1/namespaces/default/pods", { metadata: { name: "one" }, spec });
    await until(async () => (await admin.get("/api/v1/namespaces/default/pods/one")).status.phase === "Running");
    const inPod = (): boolean => processesNaming(dir).some(({ command }) => command.includes("seq 600"));
    await until(() => Promise.resolve(inPod()));
    admin.close();
    child.kill("SIGKILL");
    await until(() => Promise.resolve(processesNaming(dir).length === 0));
    expect(processesNaming(dir)).toEqual([]);
    rmSync(dir, { recursive: true });
  });
});

async function until(look: () => Promise<unknown>): Promise<void> {
  for (const end = Date.now() + 60_000; ; await delay(50)) {
    if (await look()) return;
    if (Date.now() > end) throw new Error("it didn't come");
  }
}
