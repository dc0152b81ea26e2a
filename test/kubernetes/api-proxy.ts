import { once } from "node:events";
import { Agent, createServer, request as httpsRequest, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ControlPlane } from "./control-plane/control-plane.ts";

/** What a proxy does with a request. */
export type Deed =
  | "pass"
  /** Answers itself. */
  | { status: number; headers?: Record<string, string> }
  /** Breaks the connection before the request gets through. */
  | "break"
  /** Lets the request through, and breaks the connection before its answer: nobody knows whether it was done. */
  | "lose answer";

export interface Asked {
  method: string;
  path: string;
  watch: boolean;
}

/** Stands between a client and the API server, and breaks what a test wants to be broken. */
export class ApiProxy {
  /** What becomes of the next request. */
  deed: (asked: Asked) => Deed = () => "pass";
  /** Watches whose version was forgotten: what they were answered. */
  forgotten = 0;
  /** Watches that are open, each with whether it still lets anything through. */
  readonly #watches = new Set<{ silent: boolean }>();
  readonly #server: Server;
  readonly #agent: Agent;
  readonly #plane: ControlPlane;

  static async start(plane: ControlPlane): Promise<ApiProxy> {
    const proxy = new ApiProxy(plane);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  private constructor(plane: ControlPlane) {
    this.#plane = plane;
    this.#agent = new Agent({ keepAlive: true, ca: plane.tls.cert });
    this.#server = createServer(plane.tls, (request, response) => this.#handle(request, response));
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Of the watches that are open now nothing comes through any more, not even their end. */
  silence(): void {
    for (const watch of this.#watches) watch.silent = true;
  }

  /** Ends all connections that are open now. */
  drop(): void {
    this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.drop();
    this.#agent.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const { method = "GET", url = "/" } = request;
    const watch = /[?&]watch=(true|1)/.test(url);
    const deed = this.deed({ method, path: url, watch });
    if (deed === "break") return void request.socket.destroy();
    if (typeof deed === "object") {
      request.resume();
      response.writeHead(deed.status, { "content-type": "application/json", ...deed.headers });
      response.end(JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", code: deed.status, reason: "Injected", message: "injected" }));
      return;
    }
    const onward = httpsRequest(`${this.#plane.url}${url}`, { method, headers: request.headers, agent: this.#agent });
    onward.on("error", () => request.socket.destroy());
    onward.on("response", (answer) => {
      if (deed === "lose answer") {
        answer.resume();
        request.socket.destroy();
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      const stream = { silent: false };
      if (watch) this.#watches.add(stream);
      response.on("close", () => this.#watches.delete(stream));
      answer.on("data", (chunk: Buffer) => {
        if (watch && /"code":410\b/.test(chunk.toString("latin1"))) this.forgotten++;
        if (!stream.silent) response.write(chunk);
      });
      answer.on("end", () => {
        if (!stream.silent) response.end();
      });
      answer.on("error", () => request.socket.destroy());
    });
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  }
}
