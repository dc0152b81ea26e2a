import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Thing } from "../control-plane/api-client.ts";
import { freePorts } from "../../support/free-ports.ts";
import { Component } from "../control-plane/component.ts";
import type { ControlPlane } from "../control-plane/control-plane.ts";
import { buildCommand, crdsOf, readYaml, type Module } from "./modules.ts";

/* JobSet's and Kubeflow Trainer's own controllers as processes of this machine, with their webhooks, on the control plane of a test. */

export async function installCrds(plane: ControlPlane, ...modules: Module[]): Promise<void> {
  const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  for (const crd of modules.flatMap(crdsOf)) {
    await plane.admin.create(path, crd);
    for (;;) {
      const { status } = await plane.admin.get(`${path}/${crd.metadata.name}`);
      if (status?.conditions?.some((one: Thing) => one.type === "Established" && one.status === "True")) break;
      await delay(50);
    }
  }
}

/** Starts both, and resolves when their webhooks answer. */
export async function startOperators(plane: ControlPlane): Promise<{ stop(): Promise<void>; log(): string }> {
  const [jobset, trainer] = [buildCommand("jobset", "."), buildCommand("trainer", "./cmd/trainer-controller-manager")];
  const [jobsetHook, jobsetHealth, trainerHook, trainerHealth] = (await freePorts(4)) as [number, number, number, number];
  // where controller-runtime looks for certificates unless it is told otherwise
  const certs = join(plane.dir, "k8s-webhook-server", "serving-certs");
  mkdirSync(certs, { recursive: true });
  writeFileSync(join(certs, "tls.crt"), plane.tls.cert);
  writeFileSync(join(certs, "tls.key"), plane.tls.key);
  const config = (name: string, content: object): string => {
    writeFileSync(join(plane.dir, name), JSON.stringify(content));
    return join(plane.dir, name);
  };
  const kubeconfig = plane.kubeconfig();
  const start = (name: string, path: string, configFile: string): Component => {
    const words = [`TMPDIR=${plane.dir}`, `KUBECONFIG=${kubeconfig}`, path, `--config=${configFile}`];
    const component = new Component("env", words, join(plane.dir, `${name}.log`));
    component.start();
    return component;
  };
  const components = [
    start(
      "jobset",
      jobset,
      config("jobset.yaml", {
        apiVersion: "config.jobset.x-k8s.io/v1alpha1",
        kind: "Configuration",
        leaderElection: { leaderElect: false },
        internalCertManagement: { enable: false },
        webhook: { port: jobsetHook, host: "127.0.0.1", certDir: certs },
        metrics: { bindAddress: "0" },
        health: { healthProbeBindAddress: `127.0.0.1:${jobsetHealth}` },
      }),
    ),
    start(
      "trainer",
      trainer,
      config("trainer.yaml", {
        apiVersion: "config.trainer.kubeflow.org/v1alpha1",
        kind: "Configuration",
        leaderElection: { leaderElect: false },
        certManagement: { enable: false },
        webhook: { port: trainerHook, host: "127.0.0.1" },
        metrics: { bindAddress: "0" },
        health: { healthProbeBindAddress: `127.0.0.1:${trainerHealth}` },
      }),
    ),
  ];
  const log = (): string => components.map((component) => component.log()).join("\n");
  const stop = async (): Promise<void> => {
    await Promise.all(components.map((component) => component.stop("SIGKILL")));
  };
  try {
    for (const port of [jobsetHealth, trainerHealth]) {
      for (const end = Date.now() + 90_000; ; await delay(100)) {
        if (
          await fetch(`http://127.0.0.1:${port}/readyz`).then(
            (answer) => answer.ok,
            () => false,
          )
        )
          break;
        if (Date.now() > end || components.some((component) => component.died)) throw new Error(`an operator is not ready: ${log()}`);
      }
    }
    await installWebhooks(plane, "jobset", "config/components/webhook/manifests.yaml", jobsetHook);
    await installWebhooks(plane, "trainer", "manifests/base/webhook/manifests.yaml", trainerHook);
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop, log };
}

/** The module's own webhooks, at the process's address; not those for pods, which are for placing by JobSet itself. */
async function installWebhooks(plane: ControlPlane, module: Module, path: string, port: number): Promise<void> {
  for (const configuration of readYaml(module, path)) {
    const plural = `${configuration.kind.toLowerCase()}s`;
    const webhooks = configuration.webhooks
      .filter((hook: Thing) => hook.rules.every((rule: Thing) => !rule.resources.includes("pods")))
      .map((hook: Thing) => ({
        ...hook,
        clientConfig: { url: `https://127.0.0.1:${port}${hook.clientConfig.service.path}`, caBundle: Buffer.from(plane.tls.cert).toString("base64") },
      }));
    await plane.admin.create(`/apis/admissionregistration.k8s.io/v1/${plural}`, {
      ...configuration,
      metadata: { name: `${module}-${configuration.metadata.name}` },
      webhooks,
    });
  }
}
