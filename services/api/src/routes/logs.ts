import { isFinal } from "@muster/lifecycle";
import { logKey } from "@muster/logs";
import { getJobPlace, getLogState, listWorkers, type WorkerListRow } from "@muster/store";
import type { FastifyReply } from "fastify";
import { z } from "zod";
import type { App, Context } from "../context.ts";
import { Problem } from "../problems/problem.ts";
import { lineStart } from "../stream/line-start.ts";
import type { SseStream } from "../stream/streams.ts";
import { attemptNumber, jobParams } from "./jobs-read.ts";

/** Bytes in one answer, and in one message of a stream. */
const MOST = 8 << 20;
const MESSAGE = 64 << 10;
/** Milliseconds between looks for more. */
const POLL = 300;

const count = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const logQuery = z.object({
  attempt: attemptNumber.optional().describe("by default the newest"),
  worker: z.string().max(128).optional().describe("by default the one with rank 0"),
  offset: count.optional().describe("byte to begin at"),
  limit: count
    .min(1)
    .max(MOST)
    .default(1 << 20),
  tail: count.max(100_000).optional().describe("begin so many lines before the end"),
  follow: z.stringbool().optional().describe("stream what is written as it is written, as text/event-stream with data {offset, next, text, end}"),
});

export function logRoutes(app: App, context: Context): void {
  const { pool, logs, streams } = context;
  app.get(
    "/v1/jobs/:id/logs",
    {
      schema: {
        operationId: "getLogs",
        tags: ["jobs"],
        produces: ["text/plain", "text/event-stream"],
        summary: "Read or follow what a worker wrote",
        params: jobParams,
        querystring: logQuery,
        headers: z.object({ "last-event-id": z.string().max(32).optional() }),
        response: { 200: z.string().describe("text/plain, or text/event-stream with follow") },
      },
    },
    async (request, reply) => {
      const { attempt, worker: named, offset, limit, tail, follow } = request.query;
      const worker = await findWorker(request.params.id, attempt, named);
      if (!worker) {
        if (named !== undefined || attempt !== undefined)
          throw new Problem(
            "not_found",
            `Job ${request.params.id} has no worker${named === undefined ? "" : ` ${named}`}${attempt === undefined ? "" : ` in attempt ${attempt}`}; GET /v1/jobs/{id}/workers lists them`,
          );
        if (!follow) return text(reply, Buffer.alloc(0), 0, 0);
      }
      const resumed = resumeOffset(request.headers["last-event-id"]);
      if (!follow) {
        const key = logKey(worker as WorkerListRow);
        const from = offset ?? (tail === undefined ? 0 : await lineStart(logs, key, tail));
        const part = await logs.read(key, from, limit);
        return text(reply, part.bytes, part.offset, await logs.size(key));
      }
      const stream = streams.open(request, reply);
      void stay(request.params.id, worker, { attempt, named, offset: resumed ?? offset, tail }, stream).catch((error: unknown) => {
        request.log.warn({ err: error }, "a followed log broke off");
        stream.end();
      });
      return reply;
    },
  );

  async function findWorker(job: string, attempt: number | undefined, named: string | undefined): Promise<WorkerListRow | undefined> {
    if (named === undefined) return (await listWorkers(pool, job, attempt ?? null, 0, 1))[0];
    const all = await listWorkers(pool, job, attempt ?? null, 0, 100_000);
    return all.find((worker) => worker.worker === named);
  }

  /** Sends what is kept until the worker has ended and all of it is sent. A job that has not started is waited for. */
  async function stay(
    job: string,
    found: WorkerListRow | undefined,
    where: { attempt: number | undefined; named: string | undefined; offset: number | undefined; tail: number | undefined },
    stream: SseStream,
  ): Promise<void> {
    let worker = found;
    while (!worker && stream.isOpen) {
      // asked before the workers: a job that has ended by then gets no more of them
      const place = await getJobPlace(pool, job);
      worker = await findWorker(job, where.attempt, where.named);
      if (!worker && (!place || isFinal(place.state))) {
        stream.send({ id: "0", data: { offset: 0, next: 0, text: "", end: true } });
        stream.end();
      } else if (!worker) await pause(POLL * 3);
    }
    if (!worker) return;
    const key = logKey(worker);
    let at = where.offset ?? (where.tail === undefined ? 0 : await lineStart(logs, key, where.tail));
    const decoder = new TextDecoder();
    while (stream.isOpen) {
      // asked before the read: what is kept by then, the read gives
      const state = await getLogState(pool, worker.job, worker.incarnation, worker.attempt, worker.worker);
      const part = await logs.read(key, at, MESSAGE);
      if (part.bytes.length > 0) {
        const next = part.offset + part.bytes.length;
        stream.send({ id: String(next), data: { offset: part.offset, next, text: decoder.decode(part.bytes, { stream: true }), end: false } });
        at = next;
        while (stream.isOpen && stream.behind > MESSAGE) await pause(20);
      } else if (!state || (state.ended && state.kept_size >= state.output_size)) {
        stream.send({ id: String(at), data: { offset: at, next: at, text: decoder.decode(), end: true } });
        stream.end();
        return;
      } else await pause(POLL);
    }
  }
}

function text(reply: FastifyReply, bytes: Buffer, offset: number, size: number): FastifyReply {
  return reply
    .type("text/plain; charset=utf-8")
    .headers({ "muster-log-offset": String(offset), "muster-log-next": String(offset + bytes.length), "muster-log-size": String(size) })
    .serializer((body: unknown) => body as string)
    .send(bytes);
}

function resumeOffset(id: string | undefined): number | undefined {
  return id !== undefined && /^\d{1,15}$/.test(id) ? Number(id) : undefined;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
