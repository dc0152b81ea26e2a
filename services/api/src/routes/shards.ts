import { shardSpec, shardView, type ShardView } from "@muster/model";
import { appendEvents, deleteDeclared, listDeclaredShards, putShard, transaction, type Client } from "@muster/store";
import { z } from "zod";
import { identityOf } from "../access/enforce.ts";
import type { App, Context } from "../context.ts";
import { notFound, Problem } from "../problems/problem.ts";
import { dryRunQuery, nameParams, put, sameName } from "./declared.ts";
import { pageOf, pageQuery } from "./paging.ts";
import { slicePage } from "./small-pages.ts";
import { ifMatchHeaders, setVersion } from "./version.ts";

/** Clusters that jobs run on. Where the paths of their volumes and kubeconfigs lead is nothing for those who submit jobs. */
export function shardRoutes(app: App, context: Context): void {
  const { pool } = context;
  app.get(
    "/v1/shards",
    {
      schema: {
        operationId: "listShards",
        tags: ["shards"],
        summary: "List the clusters that jobs run on",
        querystring: z.object(pageQuery),
        response: { 200: pageOf(shardView) },
      },
    },
    async (request) => slicePage(await views(pool, null), request.query),
  );
  app.get(
    "/v1/shards/:name",
    { schema: { operationId: "getShard", tags: ["shards"], summary: "Get a cluster", params: nameParams, response: { 200: shardView } } },
    async (request, reply) => {
      const view = await one(pool, request.params.name);
      setVersion(reply, view.version);
      return view;
    },
  );
  app.put(
    "/v1/shards/:name",
    {
      schema: {
        operationId: "putShard",
        tags: ["shards"],
        summary: "Take a cluster into use, or change how it is used",
        params: nameParams,
        querystring: dryRunQuery,
        headers: ifMatchHeaders,
        body: shardSpec,
        response: { 200: shardView, 201: shardView },
      },
    },
    async (request, reply) => {
      const spec = request.body;
      sameName(request.params.name, spec.name);
      return put(context, "shard", spec.name, request, reply, async (client) => {
        if (!(await putShard(client, spec))) throw new Problem("in_use", `Shard ${spec.name} is an agent of this machine; give the cluster another name`);
        return { view: await one(client, spec.name), event: { data: { shard: spec.name } } };
      });
    },
  );
  app.delete(
    "/v1/shards/:name",
    { schema: { operationId: "deleteShard", tags: ["shards"], summary: "Use a cluster no more", params: nameParams, response: { 204: z.null() } } },
    async (request, reply) => {
      const { name } = request.params;
      await transaction(pool, async (client) => {
        const { node_count: nodes } = await one(client, name);
        if (nodes > 0) throw new Problem("in_use", `Shard ${name} has ${nodes} nodes; take its pools out of its config, and delete the nodes that stay`);
        await deleteDeclared(client, "shard", name);
        await appendEvents(client, [{ kind: "shard.deleted", actor: identityOf(request).subject, data: { shard: name } }]);
      });
      context.waker.wake();
      return reply.code(204).send(null);
    },
  );
}

async function views(client: Client, name: string | null): Promise<ShardView[]> {
  return (await listDeclaredShards(client, name)).map((row) => ({
    version: row.version,
    kind: "shard",
    name: row.name,
    engine: "kubernetes",
    config: row.config,
    reachable: row.reachable,
    last_seen: row.last_seen?.toISOString() ?? null,
    node_count: row.node_count,
  }));
}

async function one(client: Client, name: string): Promise<ShardView> {
  const [view] = await views(client, name);
  if (!view) throw notFound("shard", name);
  return view;
}
