import { tokenView, type tokenBody } from "@muster/model";
import { z } from "zod";
import { allPages, pageOf } from "./pages.ts";
import type { CallOptions, Transport } from "./transport.ts";
import type { CreateOptions } from "./jobs.ts";

const newToken = tokenView.extend({ token: z.string() });
export type TokenView = z.output<typeof tokenView>;
/** `token` is the secret itself, told this once. */
export type NewToken = z.output<typeof newToken>;

export class Tokens {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  list(options: CallOptions = {}): AsyncGenerator<TokenView> {
    return allPages((cursor) => this.#transport.json(pageOf(tokenView), { ...options, path: "/v1/tokens", query: { cursor } }));
  }

  async create(body: z.input<typeof tokenBody>, { idempotencyKey, ...options }: CreateOptions = {}): Promise<NewToken> {
    const key = idempotencyKey ?? crypto.randomUUID();
    return this.#transport.json(newToken, { ...options, method: "POST", path: "/v1/tokens", body, headers: { "idempotency-key": key }, repeatable: true });
  }

  async revoke(id: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.send({ ...options, method: "DELETE", path: `/v1/tokens/${encodeURIComponent(id)}` });
  }
}
