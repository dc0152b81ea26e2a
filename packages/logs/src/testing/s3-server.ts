import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** The few calls of S3 that the log store makes, kept in memory: the store is tested through the real SDK. */
export class S3Server {
  readonly objects = new Map<string, { bytes: Buffer; at: Date }>();
  /** Answers every write with "no space", as a full store does. */
  full = false;
  readonly #server = createServer((request, response) => {
    this.#handle(request, response).catch((error: unknown) => response.destroy(error as Error));
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const url = new URL(request.url ?? "/", "http://s3");
    const key = decodeURIComponent(url.pathname.split("/").slice(2).join("/"));
    const xml = (text: string, status = 200): void => {
      response.writeHead(status, { "content-type": "application/xml" });
      response.end(`<?xml version="1.0" encoding="UTF-8"?>${text}`);
    };
    if (request.method === "PUT") {
      if (this.full) return xml("<Error><Code>QuotaExceeded</Code><Message>the bucket is full</Message></Error>", 403);
      this.objects.set(key, { bytes: body, at: new Date() });
      response.end();
    } else if (request.method === "POST") {
      for (const match of body.toString().matchAll(/<Key>([^<]+)<\/Key>/g)) this.objects.delete(match[1] as string);
      xml("<DeleteResult/>");
    } else if (key === "") {
      const prefix = url.searchParams.get("prefix") ?? "";
      const names = [...this.objects.keys()].filter((name) => name.startsWith(prefix)).sort();
      // small pages, so that more than one is asked for
      const from = Number(url.searchParams.get("continuation-token") ?? 0);
      const page = names.slice(from, from + 3);
      const more = from + 3 < names.length;
      const contents = page.map(
        (name) =>
          `<Contents><Key>${name}</Key><Size>${this.objects.get(name)?.bytes.length}</Size><LastModified>${this.objects.get(name)?.at.toISOString()}</LastModified></Contents>`,
      );
      xml(
        `<ListBucketResult><IsTruncated>${more}</IsTruncated>${more ? `<NextContinuationToken>${from + 3}</NextContinuationToken>` : ""}${contents.join("")}</ListBucketResult>`,
      );
    } else {
      const object = this.objects.get(key);
      if (!object) return xml("<Error><Code>NoSuchKey</Code></Error>", 404);
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? ["", "0", String(object.bytes.length - 1)];
      response.writeHead(206);
      response.end(object.bytes.subarray(Number(from), Number(to) + 1));
    }
  }
}
