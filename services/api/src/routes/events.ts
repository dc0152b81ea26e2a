import { eventView, incidentView, name, type EventView } from "@muster/model";
import { eventToView, listEvents, listIncidents, parsePosition, readFeed, type EventFilter, type FeedPosition } from "@muster/store";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { identityOf } from "../access/enforce.ts";
import { sees, visibleProjects } from "../access/identity.ts";
import type { App, Context } from "../context.ts";
import { Problem } from "../problems/problem.ts";
import { isAfter } from "../stream/event-hub.ts";
import type { SseStream } from "../stream/streams.ts";
import { toIncidentView } from "../views/job.ts";
import { decodeCursor, pageOf, pageQuery, toPage } from "./paging.ts";

const POSITION = /^\d{1,20}-\d{1,19}$/;
const INCIDENT = /^[A-Za-z0-9_-]{1,64}$/;
/** Events of the past that a stream replays in one go. */
const REPLAY = 500;

const filterQuery = {
  project: name.optional(),
  job: z.string().max(64).optional(),
  node: z.string().max(63).optional(),
  queue: z.string().max(63).optional(),
  pool: z.string().max(63).optional(),
  kind: z.string().max(64).optional().describe("a kind, or a prefix that ends with a dot, such as job."),
};
const text = z.string().describe("text/event-stream; each message's data is an Event, its id the position to resume after");

export function eventRoutes(app: App, { pool, hub, streams }: Context): void {
  app.get(
    "/v1/events",
    {
      schema: {
        operationId: "listEvents",
        tags: ["events"],
        summary: "List events, newest first unless sorted otherwise",
        querystring: z.object({ ...pageQuery, ...filterQuery, sort: z.enum(["-id", "id"]).default("-id") }),
        response: { 200: pageOf(eventView) },
      },
    },
    async (request) => {
      const { limit, cursor, sort, ...filter } = request.query;
      const after = decodeCursor(cursor, POSITION);
      const rows = await listEvents(
        pool,
        { visible: visibleProjects(identityOf(request)), ...filter },
        { newestFirst: sort === "-id", after: after === undefined ? undefined : checkPosition(after), limit: limit + 1 },
      );
      return toPage(rows, limit, eventToView, (row) => `${row.xid}-${row.seq}`);
    },
  );

  app.get(
    "/v1/events/stream",
    {
      schema: {
        operationId: "streamEvents",
        tags: ["events"],
        produces: ["text/event-stream"],
        summary: "Follow events as they happen; resume with Last-Event-ID",
        querystring: z.object(filterQuery),
        headers: z.object({ "last-event-id": z.string().max(64).optional() }),
        response: { 200: text },
      },
    },
    async (request, reply) => {
      const filter: EventFilter = { visible: visibleProjects(identityOf(request)), ...request.query };
      const last = lastEventId(request);
      const stream = streams.open(request, reply);
      // what happens while the past is replayed waits here
      let held: { event: EventView; position: FeedPosition }[] | undefined = [];
      const { from, stop } = await hub
        .subscribe((event, position) => {
          if (!matches(event, filter, request)) return;
          if (held) held.push({ event, position });
          else send(stream, event);
        })
        .catch((error: unknown) => {
          stream.end();
          throw error;
        });
      stream.onClose(stop);
      let at = last ?? from;
      for (let more = last !== undefined; more && stream.isOpen && isAfter(from, at); ) {
        const rows = await readFeed(pool, at, REPLAY);
        for (const row of rows) {
          at = { xid: row.xid, seq: row.seq };
          const event = eventToView(row);
          if (matches(event, filter, request)) send(stream, event);
        }
        more = rows.length === REPLAY;
        await drained(stream);
      }
      for (const { event, position } of held) if (!last || isAfter(position, at)) send(stream, event);
      held = undefined;
      return reply;
    },
  );

  app.get(
    "/v1/incidents",
    {
      schema: {
        operationId: "listIncidents",
        tags: ["events"],
        summary: "List incidents, newest first",
        querystring: z.object({ ...pageQuery, open: z.stringbool().optional(), job: z.string().max(64).optional(), node: z.string().max(63).optional() }),
        response: { 200: pageOf(incidentView) },
      },
    },
    async (request) => {
      const { limit, cursor, ...filter } = request.query;
      const rows = await listIncidents(pool, { visible: visibleProjects(identityOf(request)), ...filter }, limit + 1, decodeCursor(cursor, INCIDENT) ?? null);
      return toPage(rows, limit, toIncidentView, (row) => row.id);
    },
  );
}

function send(stream: SseStream, event: EventView): void {
  stream.send({ id: event.id, data: event });
}

function matches(event: EventView, filter: EventFilter, request: FastifyRequest): boolean {
  if (!sees(identityOf(request), event.project)) return false;
  for (const field of ["project", "job", "node", "queue", "pool"] as const) if (filter[field] !== undefined && event[field] !== filter[field]) return false;
  if (filter.kind === undefined) return true;
  return filter.kind.endsWith(".") ? event.kind.startsWith(filter.kind) : event.kind === filter.kind;
}

function lastEventId(request: FastifyRequest): FeedPosition | undefined {
  const header = request.headers["last-event-id"];
  return typeof header === "string" && header !== "" ? checkPosition(header) : undefined;
}

function checkPosition(text: string): FeedPosition {
  const position = parsePosition(text);
  if (position && BigInt(position.xid) < 2n ** 64n && BigInt(position.seq) < 2n ** 63n) return position;
  throw new Problem("invalid_request", "Last-Event-ID: expected the id of an event, such as 745-12", {
    errors: [{ path: "headers.last-event-id", message: "expected the id of an event" }],
  });
}

/** Resolves when the reader has taken most of what was written. */
async function drained(stream: SseStream): Promise<void> {
  while (stream.isOpen && stream.behind > 65_536) await new Promise((resolve) => setTimeout(resolve, 20));
}
