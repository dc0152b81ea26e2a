import { windowSpec, windowView, type WindowSpec, type WindowView } from "@muster/model";
import {
  appendEvents,
  deleteDeclared,
  listPools,
  listWindows,
  putWindow,
  queueAncestry,
  transaction,
  unknownJobs,
  unknownNodes,
  type Client,
} from "@muster/store";
import { z } from "zod";
import { identityOf } from "../access/enforce.ts";
import { visibleProjects, type Identity } from "../access/identity.ts";
import type { App, Context } from "../context.ts";
import { notFound, Problem } from "../problems/problem.ts";
import { dryRunQuery, nameParams, put, sameName } from "./declared.ts";
import { pageOf, pageQuery } from "./paging.ts";
import { slicePage } from "./small-pages.ts";
import { ifMatchHeaders, setVersion } from "./version.ts";

/** Maintenance windows and advance reservations. */
export function windowRoutes(app: App, context: Context): void {
  const { pool } = context;
  app.get(
    "/v1/windows",
    {
      schema: {
        operationId: "listWindows",
        tags: ["windows"],
        summary: "List maintenance windows and advance reservations by their start",
        querystring: z.object(pageQuery),
        response: { 200: pageOf(windowView) },
      },
    },
    async (request) => slicePage(await views(pool, identityOf(request), null), request.query),
  );
  app.get(
    "/v1/windows/:name",
    { schema: { operationId: "getWindow", tags: ["windows"], summary: "Get a window", params: nameParams, response: { 200: windowView } } },
    async (request, reply) => {
      const view = await one(pool, identityOf(request), request.params.name);
      setVersion(reply, view.version);
      return view;
    },
  );
  app.put(
    "/v1/windows/:name",
    {
      schema: {
        operationId: "putWindow",
        tags: ["windows"],
        summary: "Keep nodes free for a time, or change for what time or for whom",
        params: nameParams,
        querystring: dryRunQuery,
        headers: ifMatchHeaders,
        body: windowSpec,
        response: { 200: windowView, 201: windowView },
      },
    },
    async (request, reply) => {
      const spec = request.body;
      sameName(request.params.name, spec.name);
      return put(context, "window", spec.name, request, reply, async (client) => {
        await check(client, spec);
        await putWindow(client, spec);
        const view = await one(client, identityOf(request), spec.name);
        if (spec.block.length > 0 && view.node_count === 0)
          throw invalid("block", `no node of pool ${spec.pool} lies below ${spec.block.join("/")}; GET /v1/nodes?pool=${spec.pool} shows the fabric of each`);
        return { view, event: { data: { window: spec.name } } };
      });
    },
  );
  app.delete(
    "/v1/windows/:name",
    { schema: { operationId: "deleteWindow", tags: ["windows"], summary: "Give its nodes back", params: nameParams, response: { 204: z.null() } } },
    async (request, reply) => {
      const { name } = request.params;
      await transaction(pool, async (client) => {
        if (!(await deleteDeclared(client, "window", name))) throw notFound("window", name);
        await appendEvents(client, [{ kind: "window.deleted", actor: identityOf(request).subject, data: { window: name } }]);
      });
      context.waker.wake();
      return reply.code(204).send(null);
    },
  );
}

async function check(client: Client, spec: WindowSpec): Promise<void> {
  if (Date.parse(spec.end) <= Date.parse(spec.start)) throw invalid("end", `is not after start (${spec.start})`);
  if (spec.nodes.length === 0 && spec.pool === undefined) throw invalid("nodes", "name nodes here, or a pool in `pool`");
  if (spec.block.length > 0 && spec.pool === undefined) throw invalid("block", "is a block of a pool's fabric: name the pool too");
  const [unknown] = await unknownNodes(client, spec.nodes);
  if (unknown !== undefined) throw invalid("nodes", `there is no node ${unknown}`);
  if (spec.pool !== undefined && (await listPools(client, spec.pool)).length === 0) throw invalid("pool", `there is no pool ${spec.pool}`);
  const [gone] = await unknownJobs(client, spec.jobs);
  if (gone !== undefined) throw invalid("jobs", `there is no job ${gone}; name jobs by their ids`);
  for (const queue of spec.queues) if ((await queueAncestry(client, queue)).length === 0) throw invalid("queues", `there is no queue ${queue}`);
}

/** Ids of jobs are for those who see every project. */
async function views(client: Client, identity: Identity, name: string | null): Promise<WindowView[]> {
  const all = visibleProjects(identity) === null;
  const rows = await listWindows(client, name);
  return rows.map(({ spec, version, state, node_count }) => ({
    ...windowSpec.parse({ ...spec, version: 1 }),
    ...(!all && { jobs: [] }),
    version,
    state,
    node_count,
  }));
}

async function one(client: Client, identity: Identity, name: string): Promise<WindowView> {
  const [view] = await views(client, identity, name);
  if (!view) throw notFound("window", name);
  return view;
}

function invalid(path: string, message: string): Problem {
  return new Problem("invalid", `${path}: ${message}`, { errors: [{ path, message }] });
}
