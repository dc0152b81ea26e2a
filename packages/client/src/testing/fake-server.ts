import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What tests of the client and of the command speak to where the real server would be too slow or too well behaved. */
export interface FakeRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: unknown;
}

export interface FakeAnswer {
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** Answers with JSON, or takes the response into its own hands and gives nothing. */
export type FakeRoute = (request: FakeRequest, response: ServerResponse) => FakeAnswer | undefined | Promise<FakeAnswer | undefined>;

export class FakeServer {
  readonly requests: FakeRequest[] = [];
  readonly #routes = new Map<string, FakeRoute>();
  readonly #server = createServer((request, response) => {
    this.#handle(request, response).catch((error: unknown) => response.destroy(error as Error));
  });

  /** @param key such as `GET /v1/jobs/{id}`; a part in braces matches anything */
  on(key: string, route: FakeRoute | object): this {
    this.#routes.set(key, typeof route === "function" ? (route as FakeRoute) : () => ({ body: route }));
    return this;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  seen(method: string, path: string): FakeRequest[] {
    return this.requests.filter((request) => request.method === method && request.path === path);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const url = new URL(request.url ?? "/", "http://fake");
    const seen: FakeRequest = {
      method: request.method ?? "",
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      headers: request.headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
    this.requests.push(seen);
    const route = this.#find(`${seen.method} ${seen.path}`);
    const answer = route ? await route(seen, response) : { status: 404, body: fakeProblem(404, "not_found", `there is no ${seen.path}`) };
    if (!answer) return;
    const status = answer.status ?? 200;
    response.writeHead(status, { "content-type": status >= 400 ? "application/problem+json" : "application/json", ...answer.headers });
    response.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body ?? {}));
  }

  #find(target: string): FakeRoute | undefined {
    const exact = this.#routes.get(target);
    if (exact) return exact;
    for (const [key, route] of this.#routes) {
      const pattern = key.replace(/[.*+?^$()|[\]\\]/g, String.raw`\$&`).replace(/\{\w+\}/g, "[^/]+");
      if (new RegExp(`^${pattern}$`).test(target)) return route;
    }
    return undefined;
  }
}

export function fakeProblem(status: number, code: string, detail: string, errors?: { path: string; message: string }[]): object {
  return { type: `https://muster.dev/problems/${code}`, title: code, status, code, detail, request_id: "req_1", ...(errors && { errors }) };
}

/** Begins a stream of server-sent events. @returns what sends one message */
export function startStream(response: ServerResponse): (message: { id?: string; data: unknown }) => void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  return ({ id, data }) => response.write(`${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`);
}
