import { getJobPlace, type AttemptIdentity, type JobPlaceRow, type Pool } from "@muster/store";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { notFound, Problem } from "../problems/problem.ts";
import type { Authenticator } from "./authenticator.ts";
import { atLeast, roleIn, roleInCluster, sees, type Identity } from "./identity.ts";
import { accessOf, type Access } from "./table.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who asks; on routes that need a token. */
    identity: Identity | null;
    /** Whose token was sent; on routes of scope `attempt`. */
    attempt: AttemptIdentity | null;
    /** The job that the path names; on routes of scope `job`. */
    place: JobPlaceRow | null;
  }
  interface FastifyContextConfig {
    access?: Access;
  }
}

/** Puts the table of access in front of every route. A route that it lacks is a mistake in this program: it won't start. */
export function enforceAccess(app: FastifyInstance, pool: Pool, authenticator: Authenticator): void {
  app.decorateRequest("identity", null);
  app.decorateRequest("attempt", null);
  app.decorateRequest("place", null);
  app.addHook("onRoute", (route) => {
    const methods = Array.isArray(route.method) ? route.method : [route.method];
    for (const method of methods) {
      const access = accessOf(method === "HEAD" ? "GET" : method, route.url);
      if (!access) throw new Error(`${method} ${route.url} is not in the table of access`);
      route.config = { ...route.config, access };
    }
  });
  app.addHook("onRequest", async (request) => {
    const access = request.routeOptions.config.access;
    if (!access || access.scope === "public") return;
    if (access.scope === "attempt") {
      request.attempt = await authenticator.authenticateAttempt(request.headers.authorization);
      return;
    }
    request.identity = await authenticator.authenticate(request.headers.authorization);
    if (access.scope === "cluster") need(roleInCluster(request.identity), access.role, "of all projects");
    if (access.scope === "project") checkProject(request, access.role);
  });
  app.addHook("preHandler", async (request) => {
    const access = request.routeOptions.config.access;
    if (access?.scope === "job") request.place = await checkJob(pool, request, access);
  });
}

function checkProject(request: FastifyRequest, role: "viewer" | "submitter" | "operator" | "admin"): void {
  const project = (request.params as { name: string }).name;
  const own = roleIn(identityOf(request), project);
  if (own === undefined) throw notFound("project", project);
  need(own, role, `in project ${project}`);
}

async function checkJob(pool: Pool, request: FastifyRequest, access: Extract<Access, { scope: "job" }>): Promise<JobPlaceRow> {
  const identity = identityOf(request);
  const id = (request.params as { id: string }).id;
  const place = await getJobPlace(pool, id);
  if (!place || !sees(identity, place.project)) throw notFound("job", id);
  const role = roleIn(identity, place.project);
  need(role, access.role, `in project ${place.project}`);
  if (access.others && place.submitter !== identity.subject && !atLeast(role, access.others)) {
    throw new Problem(
      "forbidden",
      `The job was submitted by ${place.submitter}; for another's job the role ${access.others} in project ${place.project} is needed`,
    );
  }
  return place;
}

/** @throws Problem forbidden */
export function need(role: Identity["role"] | undefined, wanted: Identity["role"], where: string): void {
  if (!atLeast(role, wanted)) throw new Problem("forbidden", `This needs the role ${wanted} ${where}; the token has ${role ?? "none"} there`);
}

export function identityOf(request: FastifyRequest): Identity {
  if (!request.identity) throw new Error("a route that needs an identity is public in the table of access");
  return request.identity;
}

export function attemptOf(request: FastifyRequest): AttemptIdentity {
  if (!request.attempt) throw new Error("a route that needs an attempt is not of scope attempt in the table of access");
  return request.attempt;
}

export function placeOf(request: FastifyRequest): JobPlaceRow {
  if (!request.place) throw new Error("a route that needs a job is not of scope job in the table of access");
  return request.place;
}
