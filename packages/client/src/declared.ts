import type { z } from "zod";
import { ProblemError } from "./errors.ts";
import { allPages, pageOf, type Page } from "./pages.ts";
import type { CallOptions, Transport } from "./transport.ts";

export interface PutOptions extends CallOptions {
  /** Check and answer, but change nothing. */
  dryRun?: boolean;
  /** Only where it is still at this version. */
  version?: number;
}

/** Things that are declared and put as a whole: pools, nodes, queues, projects. */
export class Declared<View extends z.ZodType> {
  readonly #transport: Transport;
  readonly #path: string;
  readonly #view: View;

  constructor(transport: Transport, path: string, view: View) {
    this.#transport = transport;
    this.#path = path;
    this.#view = view;
  }

  async page(query: { limit?: number; cursor?: string | undefined } = {}, options: CallOptions = {}): Promise<Page<z.output<View>>> {
    return this.#transport.json(pageOf(this.#view), { ...options, path: this.#path, query: { ...query } });
  }

  list(options: CallOptions = {}): AsyncGenerator<z.output<View>> {
    return allPages((cursor) => this.page({ cursor }, options));
  }

  async get(name: string, options: CallOptions = {}): Promise<z.output<View>> {
    return this.#transport.json(this.#view, { ...options, path: this.#of(name) });
  }

  /** The thing, or undefined where there is none of that name. */
  async find(name: string, options: CallOptions = {}): Promise<z.output<View> | undefined> {
    try {
      return await this.get(name, options);
    } catch (error) {
      if (error instanceof ProblemError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Makes it so, whether it existed or not. @returns it as it is then (as it would be, in a dry run) */
  async put(name: string, spec: unknown, { dryRun, version, ...options }: PutOptions = {}): Promise<z.output<View>> {
    return this.#transport.json(this.#view, {
      ...options,
      method: "PUT",
      path: this.#of(name),
      body: spec,
      ...(dryRun && { query: { dry_run: true } }),
      // with a version, a second try of one that succeeded would be refused
      ...(version !== undefined && { headers: { "if-match": `"${version}"` }, repeatable: false }),
    });
  }

  /** @throws ProblemError with status 409 where something depends on it */
  async remove(name: string, options: CallOptions = {}): Promise<void> {
    await this.#transport.send({ ...options, method: "DELETE", path: this.#of(name) });
  }

  #of(name: string): string {
    return `${this.#path}/${encodeURIComponent(name)}`;
  }
}
