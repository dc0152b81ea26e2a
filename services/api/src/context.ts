import type { LogStore } from "@muster/logs";
import type { Pool, Waker } from "@muster/store";
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Authenticator } from "./access/authenticator.ts";
import type { Limits } from "./limits.ts";
import type { EventHub } from "./stream/event-hub.ts";
import type { Streams } from "./stream/streams.ts";
import type { ClusterCache } from "./submit/cluster-cache.ts";
import type { Submitter } from "./submit/submitter.ts";

/** What routes work with. */
export interface Context {
  pool: Pool;
  waker: Waker;
  cluster: ClusterCache;
  submitter: Submitter;
  authenticator: Authenticator;
  hub: EventHub;
  streams: Streams;
  logs: LogStore;
  limits: Limits;
}

export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>;
