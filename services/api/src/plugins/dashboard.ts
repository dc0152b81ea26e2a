import { existsSync } from "node:fs";
import { join } from "node:path";
import fastifyStatic from "@fastify/static";
import type { FastifyInstance } from "fastify";
import { Problem } from "../problems/problem.ts";
import { sendProblem } from "../problems/error-handler.ts";

/** Serves the built dashboard, if it is there; its own addresses (which it keeps in the URL) all lead to its one page. */
export async function installDashboard(app: FastifyInstance, folder: string | undefined): Promise<void> {
  const page = folder !== undefined && existsSync(join(folder, "index.html"));
  if (page) {
    await app.register(fastifyStatic, {
      root: folder,
      wildcard: true,
      index: ["index.html"],
      cacheControl: false,
      setHeaders: (reply, path) => {
        // built files carry a hash of their content in their names; the page does not
        reply.header("cache-control", /[\\/]assets[\\/]/.test(path) ? "public, max-age=31536000, immutable" : "no-cache");
      },
    });
  }
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?")[0] ?? "/";
    const wantsPage =
      (request.method === "GET" || request.method === "HEAD") &&
      !path.startsWith("/v1/") &&
      !path.startsWith("/assets/") &&
      (request.headers.accept ?? "").includes("text/html");
    if (page && wantsPage) return reply.header("cache-control", "no-cache").sendFile("index.html");
    return sendProblem(request, reply, new Problem("not_found", `There is no ${request.method} ${path.slice(0, 200)}`));
  });
}
