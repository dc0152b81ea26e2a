import { z } from "zod";
import type { App, Context } from "../context.ts";
import type { Metrics } from "../plugins/metrics.ts";
import { Problem } from "../problems/problem.ts";

const ok = z.object({ status: z.literal("ok") });

export function healthRoutes(app: App, { pool }: Context, metrics: Metrics): void {
  app.get("/healthz", { schema: { operationId: "getHealth", tags: ["service"], summary: "Whether the process answers", response: { 200: ok } } }, async () => ({
    status: "ok" as const,
  }));
  app.get(
    "/readyz",
    { schema: { operationId: "getReadiness", tags: ["service"], summary: "Whether the database answers too", response: { 200: ok } } },
    async () => {
      await pool.query({ name: "api-ready", text: "SELECT FROM cluster" }).catch(() => {
        throw new Problem("unavailable", "The database does not answer", { headers: { "retry-after": "1" } });
      });
      return { status: "ok" as const };
    },
  );
  app.get(
    "/metrics",
    { schema: { operationId: "getMetrics", tags: ["service"], produces: ["text/plain"], summary: "Figures for Prometheus", response: { 200: z.string() } } },
    async (_request, reply) =>
      reply
        .type(metrics.contentType)
        .serializer((body: unknown) => body as string)
        .send(await metrics.text()),
  );
}
