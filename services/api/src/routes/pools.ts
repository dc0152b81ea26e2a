import { poolSpec, poolView, type PoolView } from "@muster/model";
import { appendEvents, deleteDeclared, listFreeBlocks, listPools, putPool, readSpares, transaction, type Client } from "@muster/store";
import { z } from "zod";
import { identityOf } from "../access/enforce.ts";
import type { App, Context } from "../context.ts";
import { notFound, Problem } from "../problems/problem.ts";
import { toPoolView } from "../views/cluster.ts";
import { dryRunQuery, nameParams, put, sameName } from "./declared.ts";
import { pageOf, pageQuery } from "./paging.ts";
import { slicePage } from "./small-pages.ts";
import { ifMatchHeaders, setVersion } from "./version.ts";

export function poolRoutes(app: App, context: Context): void {
  const { pool } = context;
  app.get(
    "/v1/pools",
    {
      schema: {
        operationId: "listPools",
        tags: ["pools"],
        summary: "List pools by name",
        querystring: z.object(pageQuery),
        response: { 200: pageOf(poolView) },
      },
    },
    async (request) => slicePage(await poolViews(pool, null), request.query),
  );
  app.get(
    "/v1/pools/:name",
    { schema: { operationId: "getPool", tags: ["pools"], summary: "Get a pool", params: nameParams, response: { 200: poolView } } },
    async (request, reply) => {
      const view = await one(pool, request.params.name);
      setVersion(reply, view.version);
      return view;
    },
  );
  app.put(
    "/v1/pools/:name",
    {
      schema: {
        operationId: "putPool",
        tags: ["pools"],
        summary: "Make a pool, or change what it is",
        params: nameParams,
        querystring: dryRunQuery,
        headers: ifMatchHeaders,
        body: poolSpec,
        response: { 200: poolView, 201: poolView },
      },
    },
    async (request, reply) => {
      const spec = request.body;
      sameName(request.params.name, spec.name);
      return put(context, "pool", spec.name, request, reply, async (client) => {
        const [before] = await listPools(client, spec.name);
        if (before && before.engine !== spec.engine && before.nodes_total > 0)
          throw new Problem("in_use", `Pool ${spec.name} has nodes on engine ${before.engine}; take them out before the engine changes`);
        await putPool(client, spec);
        return { view: await one(client, spec.name), event: { pool: spec.name } };
      });
    },
  );
  app.delete(
    "/v1/pools/:name",
    { schema: { operationId: "deletePool", tags: ["pools"], summary: "Remove a pool that has no nodes", params: nameParams, response: { 204: z.null() } } },
    async (request, reply) => {
      const { name } = request.params;
      await transaction(pool, async (client) => {
        const [row] = await listPools(client, name);
        if (!row) throw notFound("pool", name);
        if (row.nodes_total > 0) throw new Problem("in_use", `Pool ${name} has ${row.nodes_total} nodes; delete them first`);
        await deleteDeclared(client, "pool", name);
        await appendEvents(client, [{ kind: "pool.deleted", actor: identityOf(request).subject, pool: name }]);
      });
      context.cluster.forget();
      context.waker.wake();
      return reply.code(204).send(null);
    },
  );
}

export async function poolViews(client: Client, name: string | null): Promise<PoolView[]> {
  const rows = await listPools(client, name);
  const free = await listFreeBlocks(client);
  const spares = new Map((await readSpares(client, name)).map((row) => [row.pool, row]));
  return rows.map((row) =>
    toPoolView(
      row,
      free.filter((block) => block.pool === row.name),
      spares.get(row.name),
    ),
  );
}

async function one(client: Client, name: string): Promise<PoolView> {
  const [view] = await poolViews(client, name);
  if (!view) throw notFound("pool", name);
  return view;
}
