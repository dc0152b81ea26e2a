import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import type { PodRunner } from "./pod.ts";

/** What the API server asks a kubelet for when somebody asks it for a pod's log. */
export class LogServer {
  readonly #server: Server;

  constructor(tls: { cert: string; key: string }, runner: (namespace: string, name: string) => PodRunner | undefined) {
    this.#server = createServer(tls, (request, response) => {
      const url = new URL(request.url ?? "/", "https://kubelet");
      const [, kind, namespace = "", name = "", container = ""] = url.pathname.split("/");
      const log = kind === "containerLogs" ? runner(namespace, name)?.containers.get(container)?.log : undefined;
      if (!log) {
        response.writeHead(404).end(`container "${container}" in pod "${name}" is not available\n`);
        return;
      }
      const { searchParams: query } = url;
      const number = (key: string): number | undefined => (query.has(key) ? Number(query.get(key)) : undefined);
      const gone = new AbortController();
      response.on("close", () => gone.abort());
      response.writeHead(200, { "content-type": "text/plain" }).flushHeaders();
      const [tailLines, limitBytes, seconds] = [number("tailLines"), number("limitBytes"), number("sinceSeconds")];
      const since = query.has("sinceTime") ? Date.parse(query.get("sinceTime") as string) : seconds === undefined ? undefined : Date.now() - seconds * 1000;
      const lines = log.read(
        {
          follow: query.get("follow") === "true",
          timestamps: query.get("timestamps") === "true",
          ...(tailLines !== undefined && { tailLines }),
          ...(limitBytes !== undefined && { limitBytes }),
          ...(since !== undefined && { since }),
        },
        gone.signal,
      );
      pipeline(lines, response).catch(() => {});
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async start(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
