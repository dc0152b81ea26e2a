import { readFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import rateLimit from "@fastify/rate-limit";
import type { LogStore } from "@muster/logs";
import { makeId } from "@muster/model";
import { createPool, pruneIdempotencyKeys, Waker } from "@muster/store";
import Fastify, { LogController, type FastifyBaseLogger, type FastifyReply, type FastifyRequest } from "fastify";
import { serializerCompiler } from "fastify-type-provider-zod";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import { Authenticator } from "./access/authenticator.ts";
import { enforceAccess } from "./access/enforce.ts";
import type { App, Context } from "./context.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { installBodyParsers } from "./plugins/body-parsers.ts";
import { installDashboard } from "./plugins/dashboard.ts";
import { installHeaders } from "./plugins/headers.ts";
import { installMetrics } from "./plugins/metrics.ts";
import { installOpenApi, serveDocument } from "./plugins/openapi.ts";
import { validate } from "./plugins/validation.ts";
import { installErrorHandler, sendProblem, toProblem } from "./problems/error-handler.ts";
import { Problem } from "./problems/problem.ts";
import { accountingRoutes } from "./routes/accounting.ts";
import { checkpointRoutes } from "./routes/checkpoints.ts";
import { clusterRoutes } from "./routes/cluster.ts";
import { eventRoutes } from "./routes/events.ts";
import { explainRoutes } from "./routes/explain.ts";
import { healthRoutes } from "./routes/health.ts";
import { jobActionRoutes } from "./routes/jobs-act.ts";
import { jobReadRoutes } from "./routes/jobs-read.ts";
import { submitRoutes } from "./routes/jobs-submit.ts";
import { logRoutes } from "./routes/logs.ts";
import { nodeRoutes } from "./routes/nodes.ts";
import { overviewRoutes } from "./routes/overview.ts";
import { poolRoutes } from "./routes/pools.ts";
import { projectRoutes } from "./routes/projects.ts";
import { queueRoutes } from "./routes/queues.ts";
import { tokenRoutes } from "./routes/tokens.ts";
import { shardRoutes } from "./routes/shards.ts";
import { windowRoutes } from "./routes/windows.ts";
import { EventHub } from "./stream/event-hub.ts";
import { Streams } from "./stream/streams.ts";
import { ClusterCache } from "./submit/cluster-cache.ts";
import { GitHosts } from "./submit/git-hosts.ts";
import { Submitter } from "./submit/submitter.ts";

export interface ApiOptions {
  databaseUrl: string;
  logs: LogStore;
  /** A pino logger; without one nothing is logged. */
  logger?: FastifyBaseLogger;
  /** Files of a certificate and its key: the server then speaks TLS. */
  tls?: { certFile: string; keyFile: string };
  /** Folder of the built dashboard. */
  dashboard?: string;
  limits?: Partial<Limits>;
  /** Protocols that `source.git` may use; by default https, ssh and http. */
  gitProtocols?: readonly string[];
  /** Hosts within the operator's own network that `source.git` may name; by default none. */
  gitHosts?: readonly string[];
}

export interface Api {
  app: App;
  /** Begins to listen. @returns the address, such as http://127.0.0.1:7380 */
  listen(options: { host: string; port: number }): Promise<string>;
  /** Answers what was asked, ends streams, lets the database go. */
  close(): Promise<void>;
}

/** Milliseconds between removals of what was kept long enough. */
const SWEEP = 600_000;

/** The API over one database; any number of them may run side by side. */
export async function createApi(options: ApiOptions): Promise<Api> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const app = createApp(options, limits);
  const pool = createPool(options.databaseUrl, "api", { max: 12 });
  const waker = new Waker(pool);
  const cluster = new ClusterCache(pool);
  const hub = new EventHub(pool, options.databaseUrl, app.log);
  const authenticator = new Authenticator(pool);
  const streams = new Streams(limits, authenticator);
  const submitter = new Submitter(pool, cluster, waker, {
    protocols: options.gitProtocols ?? ["https", "ssh", "http"],
    hosts: new GitHosts(options.gitHosts ?? []),
  });
  const context: Context = { pool, waker, cluster, submitter, authenticator, hub, streams, logs: options.logs, limits };

  installErrorHandler(app);
  installBodyParsers(app);
  enforceAccess(app, pool, authenticator);
  await installHeaders(app, options.tls !== undefined);
  await app.register(rateLimit, {
    max: limits.requests,
    timeWindow: 10_000,
    keyGenerator: ({ identity, attempt, ip }) => identity?.key ?? (attempt ? `${attempt.job} ${attempt.attempt}` : ip),
    errorResponseBuilder: (_request, { after }) => new Problem("too_many_requests", `Too many requests; try again in ${after}`),
  });
  const metrics = installMetrics(app, pool, streams);
  await installOpenApi(app);
  await app.register(async (scope) => {
    const routes = scope.withTypeProvider<ZodTypeProvider>() as App;
    healthRoutes(routes, context, metrics);
    serveDocument(routes);
    submitRoutes(routes, context);
    jobReadRoutes(routes, context);
    jobActionRoutes(routes, context);
    explainRoutes(routes, context);
    checkpointRoutes(routes, context);
    logRoutes(routes, context);
    nodeRoutes(routes, context);
    poolRoutes(routes, context);
    queueRoutes(routes, context);
    projectRoutes(routes, context);
    windowRoutes(routes, context);
    shardRoutes(routes, context);
    tokenRoutes(routes, context);
    eventRoutes(routes, context);
    overviewRoutes(routes, context);
    clusterRoutes(routes, context);
    accountingRoutes(routes, context);
  });
  await installDashboard(app, options.dashboard);

  const sweep = setInterval(() => void pruneIdempotencyKeys(pool, limits.idempotencyHours).catch(() => {}), SWEEP).unref();
  app.addHook("preClose", async () => streams.end());
  app.addHook("onClose", async () => {
    clearInterval(sweep);
    await submitter.drain();
    await hub.close();
    await authenticator.close();
    await waker.close();
    await pool.end();
  });
  await app.ready();
  return { app, listen: (address) => app.listen(address), close: () => app.close() };
}

function createApp({ logger, tls }: ApiOptions, limits: Limits): App {
  const app = Fastify({
    ...(logger && { loggerInstance: logger }),
    ...(tls && { https: { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) } }),
    bodyLimit: limits.body,
    exposeHeadRoutes: false,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: "idle",
    requestTimeout: 60_000,
    genReqId: () => makeId("req", Date.now(), randomBytes(10)),
    // beyond what an address can hold: lengths are the schemas' business
    routerOptions: { maxParamLength: 65_536 },
    frameworkErrors: (error: unknown, request: FastifyRequest, reply: FastifyReply) => sendProblem(request, reply, toProblem(error)),
  } as object) as unknown as App;
  app.setValidatorCompiler(validate);
  app.setSerializerCompiler(serializerCompiler);
  return app;
}
