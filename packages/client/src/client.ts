import {
  accountView,
  eventView,
  incidentView,
  meView,
  nodeView,
  overviewView,
  poolView,
  projectView,
  queueView,
  type AccountView,
  shardView,
  windowView,
  type EventView,
  type IncidentView,
  type OverviewView,
} from "@muster/model";
import type { z } from "zod";
import { Cluster } from "./cluster.ts";
import { Declared } from "./declared.ts";
import { Jobs, parseMessage } from "./jobs.ts";
import { Nodes } from "./nodes.ts";
import { allPages, pageOf, type Page } from "./pages.ts";
import { streamMessages } from "./sse.ts";
import { Tokens } from "./tokens.ts";
import { Transport, type CallOptions, type ClientOptions, type Query } from "./transport.ts";

export type MeView = z.output<typeof meView>;

export interface StreamOptions {
  project?: string | undefined;
  job?: string | undefined;
  node?: string | undefined;
  /** A kind, or a prefix that ends with a dot, such as `job.`. */
  kind?: string | undefined;
  /** Everything after this event; without it, everything from now on. */
  lastEventId?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Told of each lost connection, before the next try. */
  onReconnect?: (error: unknown) => void;
}

/** The REST API as methods. Holds no connection open, so there is nothing to close. */
export class MusterClient {
  readonly cluster: Cluster;
  readonly jobs: Jobs;
  readonly nodes: Nodes;
  readonly tokens: Tokens;
  readonly pools: Declared<typeof poolView>;
  readonly queues: Declared<typeof queueView>;
  readonly projects: Declared<typeof projectView>;
  readonly windows: Declared<typeof windowView>;
  readonly shards: Declared<typeof shardView>;
  /** Nodes as declared things: `put` makes or changes one. */
  readonly declaredNodes: Declared<typeof nodeView>;
  readonly #transport: Transport;

  constructor(options: ClientOptions) {
    this.#transport = new Transport(options);
    this.cluster = new Cluster(this.#transport);
    this.jobs = new Jobs(this.#transport);
    this.nodes = new Nodes(this.#transport);
    this.tokens = new Tokens(this.#transport);
    this.pools = new Declared(this.#transport, "/v1/pools", poolView);
    this.queues = new Declared(this.#transport, "/v1/queues", queueView);
    this.projects = new Declared(this.#transport, "/v1/projects", projectView);
    this.windows = new Declared(this.#transport, "/v1/windows", windowView);
    this.shards = new Declared(this.#transport, "/v1/shards", shardView);
    this.declaredNodes = new Declared(this.#transport, "/v1/nodes", nodeView);
  }

  get url(): string {
    return this.#transport.url.href.replace(/\/$/, "");
  }

  async me(options: CallOptions = {}): Promise<MeView> {
    return this.#transport.json(meView, { ...options, path: "/v1/me" });
  }

  async overview(options: CallOptions = {}): Promise<OverviewView> {
    return this.#transport.json(overviewView, { ...options, path: "/v1/overview" });
  }

  /** What the time of jobs went into. */
  async accounting(
    query: { since?: string | number | undefined; project?: string | undefined; queue?: string | undefined } = {},
    options: CallOptions = {},
  ): Promise<AccountView> {
    return this.#transport.json(accountView, { ...options, path: "/v1/accounting", query });
  }

  async eventPage(query: Query = {}, options: CallOptions = {}): Promise<Page<EventView>> {
    return this.#transport.json(pageOf(eventView), { ...options, path: "/v1/events", query });
  }

  events(query: Query = {}, options: CallOptions = {}): AsyncGenerator<EventView> {
    return allPages((cursor) => this.eventPage({ ...query, cursor: cursor ?? query["cursor"] }, options));
  }

  /** Events as they happen, across lost connections without a gap. Ends only by the signal or by leaving the loop. */
  async *streamEvents({ project, job, node, kind, ...options }: StreamOptions = {}): AsyncGenerator<EventView> {
    for await (const message of streamMessages(this.#transport, () => ({ path: "/v1/events/stream", query: { project, job, node, kind } }), options)) {
      if (message.event !== undefined && message.event !== "message" && message.event !== "event") continue;
      yield parseMessage(eventView, message.data);
    }
  }

  incidents(query: Query = {}, options: CallOptions = {}): AsyncGenerator<IncidentView> {
    return allPages((cursor) =>
      this.#transport.json(pageOf(incidentView), { ...options, path: "/v1/incidents", query: { ...query, cursor: cursor ?? query["cursor"] } }),
    );
  }
}
