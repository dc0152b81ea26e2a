import { Agent, request as httpsRequest } from "node:https";
import type { IncomingMessage } from "node:http";

/*
 * The few requests that tests make of an API server. The product uses @kubernetes/client-node; what judges it shares nothing
 * with it.
 */

export interface Connection {
  url: string;
  ca: string;
  token: string;
}

/** Any object of the API: tests look into it as it comes. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Thing = any;

export interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: Thing;
}

export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

const PATCHES = {
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  json: "application/json-patch+json",
  apply: "application/apply-patch+yaml",
};

export class ApiClient {
  readonly #connection: () => Connection;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  constructor(connection: () => Connection) {
    this.#connection = connection;
  }

  get address(): { host: string; port: string } {
    const { hostname, port } = new URL(this.#connection().url);
    return { host: hostname, port };
  }

  get(path: string): Promise<Thing> {
    return this.json("GET", path);
  }

  /** The object, or undefined where there is none. */
  find(path: string): Promise<Thing> {
    return this.get(path).catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    });
  }

  async list(path: string): Promise<Thing[]> {
    return (await this.get(path)).items;
  }

  create(path: string, body: object): Promise<Thing> {
    return this.json("POST", path, body);
  }

  replace(path: string, body: object): Promise<Thing> {
    return this.json("PUT", path, body);
  }

  patch(path: string, body: object, kind: keyof typeof PATCHES = "merge"): Promise<Thing> {
    return this.json("PATCH", path, body, PATCHES[kind]);
  }

  /** Deletes; what is already gone is deleted. */
  async remove(path: string, options: object = {}): Promise<void> {
    await this.json("DELETE", path, options).catch((error: unknown) => {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    });
  }

  async json(method: string, path: string, body?: object, type?: string): Promise<Thing> {
    return JSON.parse(await this.text(method, path, body, type));
  }

  async text(method: string, path: string, body?: object, type = "application/json"): Promise<string> {
    const response = await this.#send(method, path, body, type);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    if ((response.statusCode ?? 500) >= 300) throw toError(response.statusCode ?? 500, text, `${method} ${path}`);
    return text;
  }

  /** Watches until it is aborted or the server ends it; @throws where the server refuses or the connection breaks */
  async *watch(path: string, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const separator = path.includes("?") ? "&" : "?";
    const response = await this.#send("GET", `${path}${separator}watch=true&allowWatchBookmarks=true`, undefined, "application/json", signal);
    if (response.statusCode !== 200) throw new ApiError(response.statusCode ?? 500, "", `watch of ${path}`);
    let rest = "";
    for await (const chunk of response.setEncoding("utf8")) {
      const lines = `${rest}${chunk as string}`.split("\n");
      rest = lines.pop() as string;
      for (const line of lines) yield JSON.parse(line) as WatchEvent;
    }
  }

  #send(method: string, path: string, body: object | undefined, type: string, signal?: AbortSignal): Promise<IncomingMessage> {
    const { url, ca, token } = this.#connection();
    return new Promise((resolve, reject) => {
      const content = body && Buffer.from(JSON.stringify(body));
      const headers = {
        authorization: `Bearer ${token}`,
        accept: "application/json",
        ...(content && { "content-type": type, "content-length": content.length }),
      };
      const request = httpsRequest(`${url}${path}`, { method, ca, headers, agent: this.#agent, ...(signal ? { signal, agent: false } : { timeout: 30_000 }) });
      request.on("response", resolve);
      request.on("error", reject);
      request.on("timeout", () => request.destroy(new Error(`no answer to ${method} ${path}`)));
      request.end(content);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function toError(status: number, text: string, what: string): ApiError {
  try {
    const { reason, message } = JSON.parse(text) as { reason?: string; message?: string };
    return new ApiError(status, reason ?? "", `${what}: ${status} ${message}`);
  } catch {
    return new ApiError(status, "", `${what}: ${status} ${text.slice(0, 500)}`);
  }
}
