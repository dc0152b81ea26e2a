import { clusterView, putSettingsView, type ClusterView, type PutSettingsView } from "@muster/model";
import type { PutOptions } from "./declared.ts";
import type { CallOptions, Transport } from "./transport.ts";

/** The cluster as a whole: its settings, and what is done to it as one. */
export class Cluster {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async get(options: CallOptions = {}): Promise<ClusterView> {
    return this.#transport.json(clusterView, { ...options, path: "/v1/cluster" });
  }

  /** Puts the settings as a whole: what is left out has its default. */
  async putSettings(settings: unknown, { dryRun, version, ...options }: PutOptions = {}): Promise<PutSettingsView> {
    return this.#transport.json(putSettingsView, {
      ...options,
      method: "PUT",
      path: "/v1/cluster/settings",
      body: settings,
      ...(dryRun && { query: { dry_run: true } }),
      ...(version !== undefined && { headers: { "if-match": `"${version}"` }, repeatable: false }),
    });
  }

  /** After a restored backup. Nothing starts until every engine has reported. */
  async newIncarnation(reason: string, options: CallOptions = {}): Promise<ClusterView> {
    return this.#transport.json(clusterView, { ...options, method: "POST", path: "/v1/cluster/new-incarnation", body: { reason } });
  }

  /** Lets silent nodes be declared lost although many fell silent at once. @throws ProblemError wrong_state where the brake is off */
  async liftBrake(reason = "", options: CallOptions = {}): Promise<ClusterView> {
    return this.#transport.json(clusterView, { ...options, method: "POST", path: "/v1/cluster/lift-brake", body: { reason } });
  }
}
