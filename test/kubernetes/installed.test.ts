import { randomBytes } from "node:crypto";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MusterClient } from "@muster/client";
import { onServer } from "@muster/store/testing";
import { parseAllDocuments } from "yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Thing } from "./control-plane/api-client.ts";
import { binaries } from "./control-plane/binaries.ts";
import { ControlPlane } from "./control-plane/control-plane.ts";
import type { Kubelet } from "./kubelet/kubelet.ts";
import { startNodes } from "./kubelet/test-nodes.ts";
import { noControlPlane } from "./ready.ts";

/*
 * The README's Kubernetes section, command by command, on a real control plane whose pods run as processes. In place of a registry's
 * image, this checkout is mounted where the image has it; what kubectl would do is asked of the API server.
 */

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Pods share this machine's network: there is one place for each port that is on all addresses. And there is no bucket, but a volume. */
const ONE = ["--set", "api.replicas=1", "--set", "supervisor.replicas=1", "--set", "logs.store="];
const section = readFileSync(join(ROOT, "README.md"), "utf8").split("## On Kubernetes\n")[1]?.split("\n## ")[0] ?? "";
const documents = parseAllDocuments(/cat > cluster\.yaml <<'END'\n([\s\S]*?)\nEND\n/.exec(section)?.[1] ?? "").map((document) => document.toJS());
const commands = [...section.matchAll(/^\$ (.*)$/gm)].map((match) => match[1] as string);

describe.skipIf(noControlPlane || process.getuid?.() !== 0)("an installation by the README", () => {
  const database = `installed_${process.pid}_${randomBytes(4).toString("hex")}`;
  const server = process.env["MUSTER_TEST_DATABASE_URL"] ?? "";
  const databaseUrl = Object.assign(new URL(server || "postgres://none"), { pathname: `/${database}` }).href;
  let plane: ControlPlane;
  let kubelets: Kubelet[] = [];
  let helm: (...words: string[]) => string;

  beforeAll(async () => {
    await onServer(server, `CREATE DATABASE ${database}`);
    plane = await ControlPlane.start();
    kubelets = await startNodes(plane, [{ name: "one" }, { name: "two" }]);
    const path = (await binaries(() => {})).helm;
    if (path === undefined) throw new Error("helm is missing beside the control plane");
    const env = { ...process.env, HELM_CACHE_HOME: plane.dir, HELM_CONFIG_HOME: plane.dir, HELM_DATA_HOME: plane.dir, KUBECONFIG: plane.kubeconfig() };
    helm = (...words) => execFileSync(path, words, { encoding: "utf8", env, cwd: ROOT });
  });
  afterAll(async () => {
    await Promise.all(kubelets.map((kubelet) => kubelet.close()));
    await plane?.stop();
    await onServer(server, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  });

  const pods = async (component: string): Promise<Thing[]> =>
    (await plane.admin.list(`/api/v1/namespaces/muster/pods?labelSelector=app.kubernetes.io/component=${component}`)).filter(
      (pod) => pod.metadata.deletionTimestamp === undefined && pod.status.phase === "Running",
    );
  const logs = async (): Promise<string> => {
    const names = (await plane.admin.list("/api/v1/namespaces/muster/pods")).map((pod) => pod.metadata.name as string);
    const all = await Promise.all(names.map((name) => plane.admin.text("GET", `/api/v1/namespaces/muster/pods/${name}/log`).catch(String)));
    return all.map((text, index) => `${names[index]}: ${text.slice(-1500)}`).join("\n");
  };
  /** Waits until so many pods of a service say that they are ready. @returns their addresses */
  const ready = async (component: string, port: number, count: number): Promise<string[]> => {
    let addresses: string[] = [];
    const look = async (): Promise<number> => {
      const asked = (await pods(component)).map(async (pod) => {
        const answer = await fetch(`http://${pod.status.podIP}:${port}/readyz`).catch(() => undefined);
        return answer?.ok ? [pod.status.podIP as string] : [];
      });
      addresses = (await Promise.all(asked)).flat();
      return addresses.length;
    };
    await orTell(expect.poll(look, { timeout: 120_000 }).toBe(count), logs);
    return addresses;
  };

  it("runs its services, which a command of this machine reaches, and lives through a new rollout", async () => {
    expect(commands).toHaveLength(11);
    expect(commands[1]).toBe("kubectl create namespace muster");
    await plane.admin.create("/api/v1/namespaces", { metadata: { name: "muster" } });
    expect(commands[2]).toBe('kubectl -n muster create secret generic muster-database --from-literal=url="$DATABASE_URL"');
    await plane.admin.create("/api/v1/namespaces/muster/secrets", { metadata: { name: "muster-database" }, stringData: { url: databaseUrl } });

    await makeVolume(plane);

    const [program, ...words] = (commands[3] as string).split(" ").map((word) => word.replaceAll("'", ""));
    expect(program).toBe("helm");
    expect(helm(...words, ...ONE)).toContain("STATUS: deployed");
    for (const component of ["api", "scheduler", "supervisor"])
      await plane.admin.patch(`/apis/apps/v1/namespaces/muster/deployments/muster-${component}`, image(component), "strategic");

    const [address] = await ready("api", 7380, 1);
    // one of the two leads, at the address that the API asks it at
    const leaders = await Promise.all(
      (await ready("scheduler", 7381, 2)).map(async (one) => ((await (await fetch(`http://${one}:7381/readyz`)).json()) as Thing).leading),
    );
    expect(leaders).toHaveLength(2);
    await ready("supervisor", 7382, 1);
    const making = [join(ROOT, "services/api/src/create-token.ts"), "--subject", "root", "--role", "admin"];
    const token = execFileSync(process.execPath, making, { encoding: "utf8", env: { PATH: process.env["PATH"], DATABASE_URL: databaseUrl } }).trim();
    const client = new MusterClient({ url: `http://${address}:7380`, token });
    for (const document of documents) await declare(client, document);
    const found = async (): Promise<string[]> => (await Array.fromAsync(client.nodes.list())).map((node) => node.name);
    const shards = async (): Promise<string> => `${JSON.stringify(await Array.fromAsync(client.shards.list()))} ${await logs()}`;
    await orTell(expect.poll(found, { timeout: 120_000 }).toEqual(["one", "two"]), shards);
    const job = await client.jobs.submit({ name: "hello", nodes: 2, image: "any", run: ["sh", "-c", "echo hello from rank $MUSTER_NODE_RANK"] });
    const events = async (): Promise<string> => `${JSON.stringify(await Array.fromAsync(client.jobs.events(job.id)))} ${await logs()}`;
    await orTell(expect.poll(async () => (await client.jobs.get(job.id)).state, { timeout: 120_000 }).toBe("succeeded"), events);
    await expect.poll(async () => (await plane.admin.list("/api/v1/namespaces/muster-jobs/pods")).length, { timeout: 60_000 }).toBe(0);

    const before = new Set((await pods("scheduler")).map((pod) => pod.metadata.uid as string));
    helm(...words.map((word) => (word === "install" ? "upgrade" : word)), ...ONE, "--set", "logLevel=warn");
    await plane.admin.patch("/apis/apps/v1/namespaces/muster/deployments/muster-scheduler", image("scheduler"), "strategic");
    const replaced = async (): Promise<boolean> => {
      const now = await pods("scheduler");
      return now.length === 2 && now.every((pod) => !before.has(pod.metadata.uid as string));
    };
    await expect.poll(replaced, { timeout: 120_000 }).toBe(true);
    await ready("scheduler", 7381, 2);
    expect(helm("uninstall", "muster", "--namespace", "muster")).toContain("uninstalled");
    await expect.poll(async () => (await plane.admin.list("/api/v1/namespaces/muster/pods")).length, { timeout: 120_000 }).toBe(0);
  }, 600_000);
});

/** What is waited for, or an error that also tells what was found instead. */
async function orTell(wait: Promise<unknown>, tell: () => Promise<string>): Promise<void> {
  try {
    await wait;
  } catch (error) {
    throw new Error(`${String(error)}: ${await tell()}`, { cause: error });
  }
}

async function makeVolume(plane: ControlPlane): Promise<void> {
  const folder = join(plane.dir, "logs");
  mkdirSync(folder);
  chmodSync(folder, 0o777);
  chmodSync(plane.dir, 0o755);
  const spec = { accessModes: ["ReadWriteMany"], storageClassName: "" };
  const size = { storage: "1Gi" };
  await plane.admin.create("/api/v1/persistentvolumes", {
    metadata: { name: "muster-logs" },
    spec: { ...spec, capacity: size, hostPath: { path: folder }, claimRef: { namespace: "muster", name: "muster-logs" } },
  });
  await plane.admin.create("/api/v1/namespaces/muster/persistentvolumeclaims", {
    metadata: { name: "muster-logs" },
    spec: { ...spec, resources: { requests: size }, volumeName: "muster-logs" },
  });
}

async function declare(client: MusterClient, { kind, ...spec }: Thing): Promise<void> {
  await (kind === "pool" ? client.pools : client.shards).put(spec.name, spec);
}

/** The image's folder and its Node.js. */
function image(component: string): object {
  const env = [{ name: "PATH", value: "/muster/node_modules/.bin:/usr/bin:/bin" }];
  return {
    spec: {
      template: {
        spec: {
          volumes: [{ name: "image", hostPath: { path: ROOT } }],
          containers: [{ name: component, env, volumeMounts: [{ name: "image", mountPath: "/muster", readOnly: true }] }],
        },
      },
    },
  };
}
