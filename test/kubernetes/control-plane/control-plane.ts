import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ApiClient, type Connection } from "./api-client.ts";
import { binaries, type Binaries } from "./binaries.ts";
import { freePorts } from "../../support/free-ports.ts";
import { Component } from "./component.ts";

const DEADLINE = 120_000;

export interface ControlPlaneOptions {
  /** Users beside the admin, with their groups: each gets a token. */
  users?: Record<string, string[]>;
  /** Seconds for which a node may be silent before it is NotReady. */
  nodeGrace?: number;
  /** More words for a component, such as `{"kube-apiserver": ["--event-ttl=5m"]}`. */
  flags?: Partial<Record<"etcd" | "kube-apiserver" | "kube-scheduler" | "kube-controller-manager", string[]>>;
  /** Requests per second that kube-scheduler and kube-controller-manager may send. */
  clientQps?: number;
  /** An audit policy (JSON); the log is at `auditLog`. */
  audit?: object;
}

/**
 * A real Kubernetes control plane on loopback: etcd, kube-apiserver with RBAC, kube-scheduler and kube-controller-manager, in a
 * temporary folder. Its parts end with the process that started them, however that ends.
 */
export class ControlPlane {
  readonly dir = mkdtempSync(join(tmpdir(), "muster-kubernetes-"));
  readonly auditLog = join(this.dir, "audit.log");
  readonly admin: ApiClient;
  readonly #tokens = new Map<string, string>();
  readonly #ports: { etcd: number; peer: number; api: number; scheduler: number; manager: number };
  readonly #binaries: Binaries;
  readonly #options: ControlPlaneOptions;
  readonly etcd: Component;
  readonly apiserver: Component;
  readonly scheduler: Component;
  readonly manager: Component;

  /** Starts all of it, and resolves when it answers and the default namespace has its service account. */
  static async start(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
    const [found, ports] = await Promise.all([binaries((line) => process.stderr.write(`${line}\n`)), freePorts(5)]);
    const plane = new ControlPlane(found, ports, options);
    try {
      await plane.#begin();
      return plane;
    } catch (error) {
      await plane.stop();
      throw error;
    }
  }

  private constructor(found: Binaries, ports: number[], options: ControlPlaneOptions) {
    this.#binaries = found;
    this.#options = options;
    const [etcd, peer, api, scheduler, manager] = ports as [number, number, number, number, number];
    this.#ports = { etcd, peer, api, scheduler, manager };
    this.#writeFiles();
    const component = (name: keyof NonNullable<ControlPlaneOptions["flags"]>, words: string[]): Component =>
      new Component(found[name], [...words, ...(options.flags?.[name] ?? [])], join(this.dir, `${name}.log`));
    this.etcd = component("etcd", this.#etcdFlags());
    this.apiserver = component("kube-apiserver", this.#apiserverFlags());
    this.scheduler = component("kube-scheduler", this.#schedulerFlags());
    this.manager = component("kube-controller-manager", this.#managerFlags());
    this.admin = new ApiClient(() => this.connection("admin"));
  }

  get url(): string {
    return `https://127.0.0.1:${this.#ports.api}`;
  }

  /** The serving certificate and its key, for whatever else of a test must serve TLS on 127.0.0.1; clients trust it as their CA. */
  get tls(): { cert: string; key: string } {
    return { cert: this.#certificate, key: readFileSync(join(this.dir, "certificates", "apiserver.key"), "utf8") };
  }

  get binaries(): Binaries {
    return this.#binaries;
  }

  connection(user = "admin"): Connection {
    const token = this.#tokens.get(user);
    if (token === undefined) throw new Error(`no user ${user} of this control plane`);
    return { url: this.url, ca: this.#certificate, token };
  }

  /** A user whose token was got from the API, such as a service account. */
  addUser(user: string, token: string): void {
    this.#tokens.set(user, token);
  }

  client(user: string): ApiClient {
    return new ApiClient(() => this.connection(user));
  }

  /** Path of a kubeconfig for a user, at another address where one is given (a proxy that serves with `tls`). */
  kubeconfig(user = "admin", server = this.url): string {
    const { ca, token } = this.connection(user);
    const path = join(this.dir, `kubeconfig-${user.replace(/[^\w-]/g, "_")}-${new URL(server).port}`);
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "test", cluster: { server, "certificate-authority-data": Buffer.from(ca).toString("base64") } }],
      users: [{ name: user, user: { token } }],
      contexts: [{ name: "test", context: { cluster: "test", user } }],
      "current-context": "test",
    };
    writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
    return path;
  }

  /** Ends the API server, with SIGKILL unless it shall end in its own order, and starts it again. */
  async restartApiserver({ signal = "SIGKILL", down = 0 }: { signal?: NodeJS.Signals; down?: number } = {}): Promise<void> {
    await this.apiserver.stop(signal);
    await delay(down);
    this.apiserver.start();
    await this.#ready();
  }

  /** Throws away etcd's history, so that watches and continued lists of before answer 410. */
  async compact(): Promise<void> {
    const { header } = await this.#askEtcd("/kv/range", { key: base64("compaction") });
    await this.#askEtcd("/kv/compaction", { revision: header.revision, physical: true });
  }

  /** Takes everything below a key of the API server's out of etcd itself, such as `/registry/pods/NAMESPACE/`, whatever would hold it. */
  async erase(prefix: string): Promise<void> {
    const end = `${prefix.slice(0, -1)}${String.fromCodePoint((prefix.codePointAt(prefix.length - 1) as number) + 1)}`;
    const { kvs = [] } = await this.#askEtcd("/kv/range", { key: base64(prefix), range_end: base64(end), keys_only: true });
    // one by one: who watches takes a revision for one change
    for (const { key } of kvs) await this.#askEtcd("/kv/deleterange", { key });
  }

  async stop(): Promise<void> {
    await Promise.all([this.scheduler.stop("SIGKILL"), this.manager.stop("SIGKILL")]);
    await this.apiserver.stop("SIGKILL");
    await this.etcd.stop("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }

  async #askEtcd(path: string, body: object): Promise<{ header: { revision: string }; kvs?: { key: string }[] }> {
    const response = await fetch(`http://127.0.0.1:${this.#ports.etcd}/v3${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`etcd ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as { header: { revision: string }; kvs?: { key: string }[] };
  }

  get #certificate(): string {
    return readFileSync(join(this.dir, "certificates", "apiserver.crt"), "utf8");
  }

  async #begin(): Promise<void> {
    this.etcd.start();
    this.apiserver.start();
    await this.#ready();
    for (const [name, part] of [
      ["system:kube-scheduler", this.scheduler],
      ["system:kube-controller-manager", this.manager],
    ] as const) {
      this.kubeconfig(name);
      part.start();
    }
    await this.#until("the default service account", async () => (await this.admin.find("/api/v1/namespaces/default/serviceaccounts/default")) !== undefined);
  }

  #ready(): Promise<void> {
    return this.#until("the API server", async () => (await this.admin.text("GET", "/readyz")) === "ok");
  }

  async #until(what: string, look: () => Promise<boolean>): Promise<void> {
    for (const end = Date.now() + DEADLINE; ; await delay(50)) {
      const dead = [this.etcd, this.apiserver, this.scheduler, this.manager].find((part) => part.died);
      if (dead) throw new Error(`ended while starting: ${dead.log()}`);
      if (await look().catch(() => false)) return;
      if (Date.now() > end) throw new Error(`${what} isn't there: ${this.apiserver.log()}`);
    }
  }

  #writeFiles(): void {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    writeFileSync(join(this.dir, "service-accounts.key"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    writeFileSync(join(this.dir, "service-accounts.pub"), publicKey.export({ type: "spki", format: "pem" }));
    const users = {
      admin: ["system:masters"],
      "system:kube-scheduler": [],
      "system:kube-controller-manager": [],
      ...this.#options.users,
    };
    const lines = Object.entries(users).map(([user, groups]) => {
      const token = randomBytes(16).toString("hex");
      this.#tokens.set(user, token);
      return `${token},${user},${user},"${groups.join(",")}"`;
    });
    writeFileSync(join(this.dir, "tokens.csv"), `${lines.join("\n")}\n`, { mode: 0o600 });
    mkdirSync(join(this.dir, "certificates"));
    if (this.#options.audit) writeFileSync(join(this.dir, "audit-policy.json"), JSON.stringify(this.#options.audit));
  }

  #etcdFlags(): string[] {
    const { etcd, peer } = this.#ports;
    return [
      `--data-dir=${join(this.dir, "etcd")}`,
      `--listen-client-urls=http://127.0.0.1:${etcd}`,
      `--advertise-client-urls=http://127.0.0.1:${etcd}`,
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-cluster=default=http://127.0.0.1:${peer}`,
      "--unsafe-no-fsync",
      "--log-level=warn",
    ];
  }

  #apiserverFlags(): string[] {
    return [
      `--etcd-servers=http://127.0.0.1:${this.#ports.etcd}`,
      `--secure-port=${this.#ports.api}`,
      "--bind-address=127.0.0.1",
      "--advertise-address=127.0.0.1",
      "--endpoint-reconciler-type=none",
      "--service-cluster-ip-range=10.0.0.0/16",
      // made by the server itself at its first start
      `--cert-dir=${join(this.dir, "certificates")}`,
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-key-file=${join(this.dir, "service-accounts.pub")}`,
      `--service-account-signing-key-file=${join(this.dir, "service-accounts.key")}`,
      `--token-auth-file=${join(this.dir, "tokens.csv")}`,
      "--authorization-mode=Node,RBAC",
      "--allow-privileged=true",
      "--kubelet-preferred-address-types=InternalIP",
      "--profiling=false",
      ...(this.#options.audit ? [`--audit-policy-file=${join(this.dir, "audit-policy.json")}`, `--audit-log-path=${this.auditLog}`] : []),
    ];
  }

  #schedulerFlags(): string[] {
    return [...this.#clientFlags("system:kube-scheduler"), `--secure-port=${this.#ports.scheduler}`];
  }

  #managerFlags(): string[] {
    const { nodeGrace = 40 } = this.#options;
    return [
      ...this.#clientFlags("system:kube-controller-manager"),
      `--secure-port=${this.#ports.manager}`,
      `--service-account-private-key-file=${join(this.dir, "service-accounts.key")}`,
      `--root-ca-file=${join(this.dir, "certificates", "apiserver.crt")}`,
      "--use-service-account-credentials=true",
      "--node-monitor-period=1s",
      `--node-monitor-grace-period=${nodeGrace}s`,
      "--concurrent-namespace-syncs=20",
    ];
  }

  #clientFlags(user: string): string[] {
    const { clientQps = 200 } = this.#options;
    const config = join(this.dir, `kubeconfig-${user.replace(/[^\w-]/g, "_")}-${this.#ports.api}`);
    return [
      `--kubeconfig=${config}`,
      `--authentication-kubeconfig=${config}`,
      `--authorization-kubeconfig=${config}`,
      "--bind-address=127.0.0.1",
      "--leader-elect=false",
      `--kube-api-qps=${clientQps}`,
      `--kube-api-burst=${clientQps}`,
      "--profiling=false",
    ];
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
