import { projectSpec, projectView, type ProjectView } from "@muster/model";
import { appendEvents, deleteDeclared, listProjects, putProject, replaceMembers, sqlState, transaction, type Client } from "@muster/store";
import { z } from "zod";
import { identityOf, need } from "../access/enforce.ts";
import { roleInCluster, visibleProjects } from "../access/identity.ts";
import type { App, Context } from "../context.ts";
import { notFound, Problem } from "../problems/problem.ts";
import { toProjectView } from "../views/cluster.ts";
import { dryRunQuery, nameParams, put, sameName } from "./declared.ts";
import { pageOf, pageQuery } from "./paging.ts";
import { slicePage } from "./small-pages.ts";
import { ifMatchHeaders, setVersion } from "./version.ts";

export function projectRoutes(app: App, context: Context): void {
  const { pool } = context;
  app.get(
    "/v1/projects",
    {
      schema: {
        operationId: "listProjects",
        tags: ["projects"],
        summary: "List projects by name",
        querystring: z.object(pageQuery),
        response: { 200: pageOf(projectView) },
      },
    },
    async (request) => slicePage((await listProjects(pool, visibleProjects(identityOf(request)), null)).map(toProjectView), request.query),
  );
  app.get(
    "/v1/projects/:name",
    {
      schema: { operationId: "getProject", tags: ["projects"], summary: "Get a project with its members", params: nameParams, response: { 200: projectView } },
    },
    async (request, reply) => {
      const view = await one(pool, request.params.name);
      setVersion(reply, view.version);
      return view;
    },
  );
  app.put(
    "/v1/projects/:name",
    {
      schema: {
        operationId: "putProject",
        tags: ["projects"],
        summary: "Make a project, or change it and its members",
        params: nameParams,
        querystring: dryRunQuery,
        headers: ifMatchHeaders,
        body: projectSpec,
        response: { 200: projectView, 201: projectView },
      },
    },
    async (request, reply) => {
      const spec = request.body;
      sameName(request.params.name, spec.name);
      const view = await put(context, "project", spec.name, request, reply, async (client, version) => {
        if (version === undefined) need(roleInCluster(identityOf(request)), "admin", "of all projects");
        await putProject(client, spec);
        await replaceMembers(client, spec.name, spec.members);
        return { view: await one(client, spec.name), event: { project: spec.name, data: { members: spec.members } } };
      });
      context.authenticator.forgetAll();
      return view;
    },
  );
  app.delete(
    "/v1/projects/:name",
    {
      schema: {
        operationId: "deleteProject",
        tags: ["projects"],
        summary: "Remove a project that has no jobs, with its tokens",
        params: nameParams,
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      await transaction(pool, async (client) => {
        if (!(await deleteDeclared(client, "project", name))) throw notFound("project", name);
        await appendEvents(client, [{ kind: "project.deleted", actor: identityOf(request).subject, project: name }]);
      }).catch((error: unknown) => {
        if (sqlState(error) === "23503") throw new Problem("in_use", `Project ${name} has jobs; finished ones count while they are kept`);
        throw error;
      });
      context.authenticator.forgetAll();
      context.cluster.forget();
      return reply.code(204).send(null);
    },
  );
}

async function one(client: Client, name: string): Promise<ProjectView> {
  const [row] = await listProjects(client, null, name);
  if (!row) throw notFound("project", name);
  return toProjectView(row);
}
