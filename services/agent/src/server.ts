import Fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { z } from "zod";
import type { Agent } from "./agent.ts";
import type { WorkerStart } from "@muster/engine";
import { attemptKey, logQuery, sealCheckpoint, workerKey, workerStart, workerStop } from "./wire.ts";

/* The agent's HTTP interface, on a Unix socket that only its own user can reach. */

const BODY_LIMIT = 64 << 20;
const STREAM_BATCH = 512;
const BEAT_MS = 5000;

const bodies = {
  start: z.strictObject({ workers: z.array(z.unknown()).max(10_000) }),
  stop: z.strictObject({ workers: z.array(workerStop).max(100_000) }),
  attempts: z.strictObject({ attempts: z.array(attemptKey).max(100_000) }),
  seal: z.strictObject({ commits: z.array(sealCheckpoint).max(10_000) }),
  shutdown: z.strictObject({ kill: z.boolean().default(false) }),
};

export interface ServerHooks {
  info: () => Record<string, unknown>;
  reload: () => void;
  shutdown: (kill: boolean) => void;
}

export function buildServer(agent: Agent, hooks: ServerHooks): FastifyInstance {
  const server = Fastify({ bodyLimit: BODY_LIMIT, forceCloseConnections: true });
  server.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    if (error instanceof z.ZodError) {
      const issue = error.issues[0];
      return reply.code(400).send({ code: "invalid", path: issue?.path.join(".") ?? "", message: issue?.message ?? "invalid" });
    }
    const status = error.statusCode ?? 500;
    return reply.code(status).send({ code: status < 500 ? "invalid" : "internal", message: error.message });
  });
  server.get("/v1/health", () => hooks.info());
  server.get("/v1/snapshot", () => agent.snapshot());
  server.post("/v1/start", async (request, reply) => {
    const starts: WorkerStart[] = [];
    for (const one of bodies.start.parse(request.body).workers) {
      const parsed = workerStart.safeParse(one);
      if (parsed.success) starts.push(parsed.data);
      else {
        // one that can't be read must not hold up the others; but without its key there is nobody to tell
        const issue = parsed.error.issues[0];
        agent.refuseInvalid(workerKey.parse(one), `${issue?.path.join(".")}: ${issue?.message}`);
      }
    }
    await agent.start(starts);
    return reply.code(202).send({});
  });
  server.post("/v1/stop", async (request, reply) => {
    await agent.stop(bodies.stop.parse(request.body).workers);
    return reply.code(202).send({});
  });
  server.post("/v1/checkpoint-now", async (request, reply) => {
    await agent.checkpointNow(bodies.attempts.parse(request.body).attempts);
    return reply.code(202).send({});
  });
  server.post("/v1/seal", (request, reply) => {
    agent.seal(bodies.seal.parse(request.body).commits);
    return reply.code(202).send({});
  });
  server.post("/v1/forget", async (request, reply) => {
    await agent.forget(bodies.attempts.parse(request.body).attempts);
    return reply.code(202).send({});
  });
  server.get("/v1/log", async (request, reply) => {
    const { offset, limit, ...key } = logQuery.parse(request.query);
    const chunk = await agent.readLog(key, offset, limit);
    return reply
      .header("muster-offset", chunk.offset)
      .header("muster-next", chunk.next)
      .header("muster-end", String(chunk.end))
      .type("application/octet-stream")
      .send(Buffer.from(chunk.data));
  });
  server.get("/v1/observations", (request, reply) => {
    const { epoch, after } = z.strictObject({ epoch: z.string(), after: z.coerce.number().int().min(0) }).parse(request.query);
    if (epoch !== agent.ledger.epoch || after > agent.ledger.seq) return reply.code(410).send({ code: "gone", message: "take a snapshot again" });
    void stream(agent, reply, after);
    return reply;
  });
  server.post("/v1/reload", (_request, reply) => {
    hooks.reload();
    return reply.code(202).send({});
  });
  server.post("/v1/shutdown", async (request, reply) => {
    const { kill } = bodies.shutdown.parse(request.body ?? {});
    reply.raw.on("finish", () => hooks.shutdown(kill));
    return reply.code(202).send({});
  });
  return server;
}

/** One JSON array of observations a line; an empty line now and then shows that the agent lives. */
async function stream(agent: Agent, reply: FastifyReply, after: number): Promise<void> {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { "content-type": "application/x-ndjson" });
  raw.flushHeaders();
  const state = { open: true };
  let wake = (): void => {};
  const stopListening = agent.ledger.listen(() => wake());
  const beat = setInterval(() => raw.write("\n"), BEAT_MS);
  raw.on("close", () => {
    state.open = false;
    wake();
  });
  for (let cursor = after; state.open; ) {
    const { lines, last } = agent.ledger.after(cursor, STREAM_BATCH);
    cursor = last;
    if (lines.length > 0) {
      if (!raw.write(`[${lines.join(",")}]\n`)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          raw.once("drain", resolve);
        });
      }
      continue;
    }
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  clearInterval(beat);
  stopListening();
}
