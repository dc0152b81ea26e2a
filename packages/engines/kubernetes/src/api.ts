import { setTimeout as delay } from "node:timers/promises";
import { Unreachable } from "@muster/engine";
import type { KubeConfig } from "@kubernetes/client-node";
import { Pool, type Dispatcher } from "undici";

/*
 * Requests to one API server. Who we are and whom to trust comes from client-node's KubeConfig (files, contexts, service
 * accounts, exec plugins); the requests themselves go over undici, as a request through client-node's own generated classes
 * costs 4 ms of CPU.
 */

const CONNECTIONS = 32;
const TIMEOUT_MS = 15_000;
const TRIES = 6;
const LONGEST_WAIT_MS = 10_000;
/** Tokens of service accounts are renewed in their file. */
const CREDENTIALS_MS = 30_000;

export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name?: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    [field: string]: unknown;
  };
  [field: string]: unknown;
}

/** The API server's own refusal: said with its reason, and of no use to repeat as it is. */
export class KubeError extends Error {
  override name = "KubeError";
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

export interface KubeRequest {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** Of a patch. */
  contentType?: string;
  timeout?: number;
  tries?: number;
}

export interface KubeWhere {
  /** A file; absent: the service account of this pod. */
  kubeconfig?: string | undefined;
  context?: string | undefined;
}

export class KubeApi {
  /** Requests sent, by method: what a benchmark divides by pods. */
  readonly sent: Record<string, number> = {};
  private readonly config: KubeConfig;
  private readonly server: string;
  private readonly base: string;
  private pool: Pool;
  private streams: Pool;
  private headers: Record<string, string> = {};
  private identity = "";
  private checked = 0;

  private constructor(config: KubeConfig, server: URL) {
    this.config = config;
    this.server = server.origin;
    this.base = server.pathname.replace(/\/$/, "");
    this.pool = new Pool(this.server);
    this.streams = new Pool(this.server);
  }

  static async open({ kubeconfig, context }: KubeWhere): Promise<KubeApi> {
    // half a second and 130 MB, so only where there is a cluster
    const { KubeConfig } = await import("@kubernetes/client-node");
    const config = new KubeConfig();
    if (kubeconfig === undefined && !process.env["KUBERNETES_SERVICE_HOST"])
      throw new Unreachable("no kubeconfig is named, and the supervisor runs in no cluster: name one in config.kubeconfig of the shard");
    try {
      if (kubeconfig === undefined) config.loadFromCluster();
      else config.loadFromFile(kubeconfig);
      if (context !== undefined) config.setCurrentContext(context);
    } catch (error) {
      throw new Unreachable(`the kubeconfig can't be read: ${(error as Error).message}`, { cause: error });
    }
    const server = config.getCurrentCluster()?.server;
    if (server === undefined)
      throw new Unreachable(`${kubeconfig ?? "the service account"} names no cluster${context === undefined ? "" : ` for context ${context}`}`);
    const api = new KubeApi(config, new URL(server));
    await api.authenticate();
    return api;
  }

  /** The answer as JSON. Throws KubeError where it is refused, Unreachable where nothing is known of the outcome. */
  async ask<T = KubeObject>(request: KubeRequest): Promise<T> {
    const response = await this.send(request);
    return (await this.read(() => response.body.json())) as T;
  }

  async askText(request: KubeRequest): Promise<string> {
    const response = await this.send(request);
    return this.read(() => response.body.text());
  }

  /** A response that goes on: a watch, or a followed log. Ends with the signal. */
  async stream(path: string, query: KubeRequest["query"], signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    await this.authenticate();
    this.sent["STREAM"] = (this.sent["STREAM"] ?? 0) + 1;
    const response = await this.read(() =>
      this.streams.request({
        method: "GET",
        path: this.base + path,
        query: defined(query),
        headers: this.headers,
        signal,
        bodyTimeout: 0,
        headersTimeout: TIMEOUT_MS,
      }),
    );
    if (response.statusCode >= 300) throw await this.refusal(response);
    return response.body;
  }

  async close(): Promise<void> {
    await Promise.all([this.pool.destroy(), this.streams.destroy()]);
  }

  private async send(request: KubeRequest): Promise<Dispatcher.ResponseData> {
    const { method, path, query, body, contentType = "application/json", timeout = TIMEOUT_MS, tries = TRIES } = request;
    const text = body === undefined ? undefined : JSON.stringify(body);
    for (let attempt = 1; ; attempt++) {
      await this.authenticate();
      this.sent[method] = (this.sent[method] ?? 0) + 1;
      let response: Dispatcher.ResponseData | undefined;
      let failure: unknown;
      try {
        response = await this.pool.request({
          method,
          path: this.base + path,
          query: defined(query),
          headers: text === undefined ? this.headers : { ...this.headers, "content-type": contentType },
          ...(text !== undefined && { body: text }),
          headersTimeout: timeout,
          bodyTimeout: timeout,
        });
      } catch (error) {
        failure = error;
      }
      if (response && response.statusCode < 300) return response;
      const refusal = response ? await this.refusal(response) : undefined;
      if (refusal && !mayPass(method, refusal)) throw refusal;
      if (attempt >= tries) {
        // a webhook that is away answers by the API server: that one is reached
        if (refusal && /webhook/.test(refusal.message)) throw refusal;
        throw new Unreachable(
          `the API server at ${this.server} ${refusal ? `answers ${refusal.status}: ${refusal.message}` : `can't be reached: ${(failure as Error).message}`}`,
          {
            cause: failure ?? refusal,
          },
        );
      }
      await delay(retryAfter(response?.headers["retry-after"]) ?? Math.random() * Math.min(LONGEST_WAIT_MS, 100 * 2 ** attempt));
    }
  }

  private async refusal(response: Dispatcher.ResponseData): Promise<KubeError> {
    const text = await this.read(() => response.body.text()).catch(() => "");
    let status: { reason?: string; message?: string } = {};
    try {
      status = JSON.parse(text) as typeof status;
    } catch {
      // a proxy on the way answers as it likes
    }
    return new KubeError(response.statusCode, status.reason ?? "", status.message ?? text.slice(0, 500));
  }

  /** Reads credentials anew every so often; where a certificate was renewed, connections are made anew. */
  private async authenticate(): Promise<void> {
    if (Date.now() - this.checked < CREDENTIALS_MS) return;
    this.checked = Date.now();
    const options: { headers: Record<string, string>; [option: string]: unknown } = { headers: {} };
    try {
      await this.config.applyToHTTPSOptions(options as Parameters<KubeConfig["applyToHTTPSOptions"]>[0]);
    } catch (error) {
      this.checked = 0;
      throw new Unreachable(`no credentials for ${this.server}: ${(error as Error).message}`, { cause: error });
    }
    const { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized, auth } = options;
    this.headers = {
      accept: "application/json",
      ...options.headers,
      ...(typeof auth === "string" && { authorization: `Basic ${Buffer.from(auth).toString("base64")}` }),
    };
    const tls = withoutUndefined({ ca, cert, key, pfx, passphrase, servername, rejectUnauthorized });
    const identity = JSON.stringify(tls);
    if (identity === this.identity) return;
    const [pool, streams] = [this.pool, this.streams];
    this.identity = identity;
    this.pool = new Pool(this.server, { connections: CONNECTIONS, connect: { ...tls, timeout: TIMEOUT_MS } });
    this.streams = new Pool(this.server, { connect: { ...tls, timeout: TIMEOUT_MS } });
    void pool.close().catch(() => {});
    void streams.close().catch(() => {});
  }

  private async read<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw new Unreachable(`the API server at ${this.server} can't be reached: ${(error as Error).message}`, { cause: error });
    }
  }
}

/**
 * Whether the same request may succeed a little later. A conflict is the caller's to resolve. An API server that has just begun
 * knows no roles yet: that it forbids a write says nothing of what was to be written; quotas and webhooks word their refusals otherwise.
 */
function mayPass(method: KubeRequest["method"], { status, message }: KubeError): boolean {
  return status === 429 || status >= 500 || (status === 403 && method !== "GET" && /\bUser ".*" cannot /.test(message));
}

function retryAfter(header: string | string[] | undefined): number | undefined {
  const seconds = Number(typeof header === "string" ? header : Number.NaN);
  return Number.isFinite(seconds) ? Math.min(LONGEST_WAIT_MS, seconds * 1000 + Math.random() * 100) : undefined;
}

function defined(query: KubeRequest["query"] = {}): Record<string, string | number | boolean> {
  return withoutUndefined(query) as Record<string, string | number | boolean>;
}

function withoutUndefined(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
