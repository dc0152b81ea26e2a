import { nodeView, type NodeView } from "@muster/model";
import { allPages, pageOf, type Page } from "./pages.ts";
import type { CallOptions, Transport } from "./transport.ts";

const nodes = pageOf(nodeView);

export interface NodeListQuery {
  pool?: string | undefined;
  health?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
}

export class Nodes {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async page(query: NodeListQuery = {}, options: CallOptions = {}): Promise<Page<NodeView>> {
    return this.#transport.json(nodes, { ...options, path: "/v1/nodes", query: { ...query } });
  }

  list(query: NodeListQuery = {}, options: CallOptions = {}): AsyncGenerator<NodeView> {
    return allPages((cursor) => this.page({ ...query, cursor: cursor ?? query.cursor }, options));
  }

  async get(name: string, options: CallOptions = {}): Promise<NodeView> {
    return this.#transport.json(nodeView, { ...options, path: nodePath(name) });
  }

  /** No new work starts there; what runs goes on. */
  async cordon(name: string, reason: string, options: CallOptions = {}): Promise<NodeView> {
    return this.#transport.json(nodeView, { ...options, method: "POST", path: `${nodePath(name)}/cordon`, body: { reason } });
  }

  async uncordon(name: string, reason = "", options: CallOptions = {}): Promise<NodeView> {
    return this.#transport.json(nodeView, { ...options, method: "POST", path: `${nodePath(name)}/uncordon`, body: { reason } });
  }

  /** A repair hook sees to a node that is out of service, once it has no work. */
  async diagnose(name: string, reason: string, options: CallOptions = {}): Promise<NodeView> {
    return this.#transport.json(nodeView, { ...options, method: "POST", path: `${nodePath(name)}/diagnose`, body: { reason } });
  }

  /** Takes a node that has no work out for good; `uncordon` takes it back. */
  async retire(name: string, reason: string, options: CallOptions = {}): Promise<NodeView> {
    return this.#transport.json(nodeView, { ...options, method: "POST", path: `${nodePath(name)}/retire`, body: { reason } });
  }

  /** Work leaves the node: asked to checkpoint and go until the deadline. @param deadline seconds, or text such as 30m */
  async drain(name: string, reason: string, deadline?: number | string, options: CallOptions = {}): Promise<NodeView> {
    return this.#transport.json(nodeView, {
      ...options,
      method: "POST",
      path: `${nodePath(name)}/drain`,
      body: { reason, ...(deadline !== undefined && { deadline }) },
    });
  }
}

function nodePath(name: string): string {
  return `/v1/nodes/${encodeURIComponent(name)}`;
}
