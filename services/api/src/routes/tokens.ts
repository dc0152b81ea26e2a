import { createHmac, randomBytes } from "node:crypto";
import { makeId, name, tokenBody, tokenView } from "@muster/model";
import { appendEvents, findTokens, insertToken, listTokens, readCluster, revokeToken, transaction, type Pool } from "@muster/store";
import { z } from "zod";
import { tokenHash } from "../access/authenticator.ts";
import { identityOf, need } from "../access/enforce.ts";
import { atLeast, roleIn, roleInCluster, type Identity } from "../access/identity.ts";
import type { App, Context } from "../context.ts";
import { notFound, Problem } from "../problems/problem.ts";
import { toTokenView } from "../views/job.ts";
import { idempotencyHeaders } from "./jobs-submit.ts";
import { decodeCursor, pageOf, pageQuery, toPage } from "./paging.ts";

const TOKEN_ID = /^tok_[0-9a-z]{26}$/;
const newToken = tokenView.extend({ token: z.string().describe("the secret itself; it is told this once") });

export function tokenRoutes(app: App, { pool, authenticator, cluster }: Context): void {
  app.get(
    "/v1/tokens",
    {
      schema: {
        operationId: "listTokens",
        tags: ["tokens"],
        summary: "List tokens that the asker administers, newest first",
        querystring: z.object({ ...pageQuery, project: name.optional() }),
        response: { 200: pageOf(tokenView) },
      },
    },
    async (request) => {
      const { limit, cursor, project } = request.query;
      const projects = administered(identityOf(request));
      const wanted = project === undefined ? projects : projects === null || projects.includes(project) ? [project] : [];
      return toPage(await listTokens(pool, wanted, limit + 1, decodeCursor(cursor, TOKEN_ID) ?? null), limit, toTokenView, (row) => row.id);
    },
  );
  app.post(
    "/v1/tokens",
    {
      schema: {
        operationId: "createToken",
        tags: ["tokens"],
        summary: "Make a token",
        headers: idempotencyHeaders,
        body: tokenBody,
        response: { 201: newToken },
      },
    },
    async (request, reply) => {
      const identity = identityOf(request);
      const body = request.body;
      if (body.project === null) need(roleInCluster(identity), "admin", "of all projects");
      else {
        need(roleIn(identity, body.project), "admin", `in project ${body.project}`);
        if (!(await cluster.refresh()).projects.has(body.project))
          throw new Problem("unknown_project", `project: there is no project ${body.project}`, {
            errors: [{ path: "project", message: `there is no project ${body.project}` }],
          });
      }
      const key = request.headers["idempotency-key"];
      const token = `mus_${(key === undefined ? randomBytes(32) : await derived(pool, identity.subject, key)).toString("base64url")}`;
      const hash = tokenHash(token);
      const earlier = key === undefined ? undefined : (await findTokens(pool, [hash]))[0];
      if (earlier) {
        const same =
          earlier.subject === body.subject && earlier.project === body.project && earlier.role === body.role && earlier.description === body.description;
        if (!same) throw new Problem("idempotency_key_reused", `Idempotency-Key ${key} was used with another body; take a new key for a new token`);
        return reply
          .code(201)
          .header("idempotent-replayed", "true")
          .send({ ...toTokenView(earlier), token });
      }
      const row = await transaction(pool, async (client) => {
        const row = await insertToken(client, {
          id: makeId("tok", Date.now(), randomBytes(10)),
          hash,
          subject: body.subject,
          project: body.project,
          role: body.role,
          description: body.description,
          expiresIn: body.expires_in ?? null,
        });
        if (!row) throw new Problem("idempotency_key_reused", `Idempotency-Key ${key} made a token that is revoked or expired; take a new key`);
        await appendEvents(client, [
          { kind: "token.created", actor: identity.subject, project: body.project, data: { token: row.id, subject: row.subject, role: row.role } },
        ]);
        return row;
      });
      authenticator.forget(hash);
      return reply.code(201).send({ ...toTokenView(row), token });
    },
  );
  app.delete(
    "/v1/tokens/:id",
    {
      schema: {
        operationId: "revokeToken",
        tags: ["tokens"],
        summary: "Revoke a token",
        params: z.object({ id: z.string().max(64) }),
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      const identity = identityOf(request);
      const { id } = request.params;
      const projects = administered(identity);
      const hash = await transaction(pool, async (client) => {
        const revoked = await revokeToken(client, id, projects);
        if (!revoked) throw notFound("token", id);
        await appendEvents(client, [
          { kind: "token.revoked", actor: identity.subject, project: revoked.project, data: { token: id, subject: revoked.subject } },
        ]);
        return revoked.hash;
      });
      authenticator.forget(hash);
      return reply.code(204).send(null);
    },
  );
}

/** Projects whose tokens the asker may handle; null: all. @throws Problem forbidden where there is none */
function administered(identity: Identity): string[] | null {
  if (atLeast(roleInCluster(identity), "admin")) return null;
  const candidates = identity.project === null ? Object.keys(identity.memberships) : [identity.project];
  const projects = candidates.filter((project) => atLeast(roleIn(identity, project), "admin"));
  if (projects.length === 0) throw new Problem("forbidden", "Tokens are handled with the role admin, in a project or of all projects");
  return projects;
}

/** The same key gives the same token again, so that an answer that got lost can be asked for anew though nobody keeps it. */
async function derived(pool: Pool, subject: string, key: string): Promise<Buffer> {
  const { secret } = await readCluster(pool);
  return createHmac("sha256", secret)
    .update(`muster token\n${JSON.stringify([subject, key])}`)
    .digest();
}
