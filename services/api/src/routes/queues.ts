import { queueSpec, queueView, type QueueView } from "@muster/model";
import { appendEvents, deleteDeclared, listQueues, putQueue, queueAncestry, sqlState, transaction, type Client } from "@muster/store";
import { z } from "zod";
import { identityOf } from "../access/enforce.ts";
import { visibleProjects, type Identity } from "../access/identity.ts";
import type { App, Context } from "../context.ts";
import { notFound, Problem } from "../problems/problem.ts";
import { toQueueView } from "../views/cluster.ts";
import { dryRunQuery, nameParams, put, sameName } from "./declared.ts";
import { pageOf, pageQuery } from "./paging.ts";
import { slicePage } from "./small-pages.ts";
import { ifMatchHeaders, setVersion } from "./version.ts";

export function queueRoutes(app: App, context: Context): void {
  const { pool } = context;
  app.get(
    "/v1/queues",
    {
      schema: {
        operationId: "listQueues",
        tags: ["queues"],
        summary: "List queues by name, with the jobs that the token may see counted",
        querystring: z.object(pageQuery),
        response: { 200: pageOf(queueView) },
      },
    },
    async (request) => slicePage(await views(pool, identityOf(request), null), request.query),
  );
  app.get(
    "/v1/queues/:name",
    { schema: { operationId: "getQueue", tags: ["queues"], summary: "Get a queue", params: nameParams, response: { 200: queueView } } },
    async (request, reply) => {
      const view = await one(pool, identityOf(request), request.params.name);
      setVersion(reply, view.version);
      return view;
    },
  );
  app.put(
    "/v1/queues/:name",
    {
      schema: {
        operationId: "putQueue",
        tags: ["queues"],
        summary: "Make a queue, or change it",
        params: nameParams,
        querystring: dryRunQuery,
        headers: ifMatchHeaders,
        body: queueSpec,
        response: { 200: queueView, 201: queueView },
      },
    },
    async (request, reply) => {
      const spec = request.body;
      sameName(request.params.name, spec.name);
      return put(context, "queue", spec.name, request, reply, async (client) => {
        if (spec.parent !== undefined) {
          const above = await queueAncestry(client, spec.parent);
          if (above.length === 0) throw invalidParent(`there is no queue ${spec.parent}; put it first`);
          if (spec.parent === spec.name || above.includes(spec.name)) throw invalidParent(`${spec.parent} is below ${spec.name}: this is a cycle`);
        }
        await putQueue(client, spec);
        return { view: await one(client, identityOf(request), spec.name), event: { queue: spec.name } };
      });
    },
  );
  app.delete(
    "/v1/queues/:name",
    {
      schema: {
        operationId: "deleteQueue",
        tags: ["queues"],
        summary: "Remove a queue that has no jobs and no queues below it",
        params: nameParams,
        response: { 204: z.null() },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      await transaction(pool, async (client) => {
        if (!(await deleteDeclared(client, "queue", name))) throw notFound("queue", name);
        await appendEvents(client, [{ kind: "queue.deleted", actor: identityOf(request).subject, queue: name }]);
      }).catch((error: unknown) => {
        if (sqlState(error) === "23503")
          throw new Problem("in_use", `Queue ${name} has jobs (finished ones count while they are kept) or queues below it; pause it to take no more`);
        throw error;
      });
      context.cluster.forget();
      context.waker.wake();
      return reply.code(204).send(null);
    },
  );
}

async function views(client: Client, identity: Identity, name: string | null): Promise<QueueView[]> {
  const visible = visibleProjects(identity);
  return (await listQueues(client, visible, name)).map((row) => toQueueView(row, visible));
}

async function one(client: Client, identity: Identity, name: string): Promise<QueueView> {
  const [view] = await views(client, identity, name);
  if (!view) throw notFound("queue", name);
  return view;
}

function invalidParent(message: string): Problem {
  return new Problem("invalid", `parent: ${message}`, { errors: [{ path: "parent", message }] });
}
