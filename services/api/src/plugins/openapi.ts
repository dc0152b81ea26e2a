import swagger from "@fastify/swagger";
import reference from "@scalar/fastify-api-reference";
import type { FastifyInstance } from "fastify";
import { createJsonSchemaTransform, jsonSchemaTransformObject } from "fastify-type-provider-zod";
import { z } from "zod";
import { accessOf, type Access } from "../access/table.ts";

/** The OpenAPI document, made from the same schemas that check requests, and pages to browse it. */
export async function installOpenApi(app: FastifyInstance): Promise<void> {
  const transform = createJsonSchemaTransform({});
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Muster",
        version: "1",
        description: "The control plane of a training cluster. Errors are RFC 9457 problem details with a stable `code`; lists are paged by cursor.",
      },
      components: {
        securitySchemes: {
          token: { type: "http", scheme: "bearer", description: "A token of this cluster (mus_...)" },
          attempt: { type: "http", scheme: "bearer", description: "The token of one attempt (mua_...)" },
        },
      },
    },
    transform: (route) => {
      const made = transform(route);
      const access = accessOf(String(Array.isArray(route.route.method) ? route.route.method[0] : route.route.method), route.url);
      if (access && access.scope !== "public")
        Object.assign(made.schema, { security: [{ [access.scope === "attempt" ? "attempt" : "token"]: [] }], description: needed(access) });
      if (!route.url.startsWith("/v1/") && !/^\/(healthz|readyz|metrics)$/.test(route.url)) Object.assign(made.schema, { hide: true });
      return made;
    },
    transformObject: jsonSchemaTransformObject,
  });
  await app.register(reference, {
    routePrefix: "/docs",
    configuration: { url: "/v1/openapi.json", title: "Muster API", telemetry: false, withDefaultFonts: false },
  });
}

/** After all routes are known. */
export function serveDocument(app: FastifyInstance): void {
  let text: string | undefined;
  app.get(
    "/v1/openapi.json",
    { schema: { operationId: "getOpenApi", tags: ["service"], summary: "This document", response: { 200: z.unknown() } } },
    async (_request, reply) => {
      text ??= JSON.stringify(withProblems(app.swagger() as unknown as Document));
      return reply
        .type("application/json; charset=utf-8")
        .serializer((body: unknown) => body as string)
        .send(text);
    },
  );
}

interface Document {
  components: { responses?: Record<string, unknown> };
  paths: Record<string, Record<string, { responses: Record<string, unknown> }>>;
}

/** Every route may answer with a problem. */
function withProblems(document: Document): Document {
  document.components.responses = {
    Problem: {
      description: "A problem; docs/errors.md lists the codes",
      content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
    },
  };
  for (const methods of Object.values(document.paths))
    for (const operation of Object.values(methods)) operation.responses["default"] = { $ref: "#/components/responses/Problem" };
  return document;
}

function needed(access: Access): string {
  switch (access.scope) {
    case "cluster":
      return `Needs the role ${access.role} of all projects.`;
    case "project":
      return `Needs the role ${access.role} in the project.`;
    case "body":
      return `Needs the role ${access.role} in the project that is named.`;
    case "job":
      return `Needs the role ${access.role} in the job's project${access.others ? `, and ${access.others} for a job that someone else submitted` : ""}.`;
    case "attempt":
      return "Needs the token of the job's current attempt.";
    default:
      return "Needs any token; the answer is limited to its projects.";
  }
}
