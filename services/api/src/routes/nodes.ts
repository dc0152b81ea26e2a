import { actionBody, cordonBody, drainBody, NODE_HEALTH, nodeHealthBody, nodePage, nodeSpec, nodeView, type NodeHealth, type NodeView } from "@muster/model";
import { nextNodeHealth, type NodeEvent } from "@muster/lifecycle";
import {
  appendEvents,
  deleteDeclared,
  ensureShard,
  listNodes,
  listPools,
  lockNode,
  moveNode,
  putNode,
  readLemons,
  reportHealth,
  transaction,
  type Client,
} from "@muster/store";
import { z } from "zod";
import { identityOf } from "../access/enforce.ts";
import { visibleProjects, type Identity } from "../access/identity.ts";
import type { App, Context } from "../context.ts";
import { notFound, Problem } from "../problems/problem.ts";
import { toNodeView } from "../views/cluster.ts";
import { dryRunQuery, nameParams, put, sameName } from "./declared.ts";
import { decodeCursor, pageQuery, toPage, wordList } from "./paging.ts";
import { ifMatchHeaders, setVersion } from "./version.ts";

const NAME = /^[-a-z0-9.]{1,63}$/;

interface NodeAction {
  reason: string;
  /** Of a drain, in seconds. */
  deadline?: number | null;
}

const ACTIONS: readonly { event: NodeEvent; operationId: string; summary: string; body: z.ZodType<NodeAction> }[] = [
  { event: "cordon", operationId: "cordonNode", summary: "Start no new work there", body: cordonBody },
  { event: "uncordon", operationId: "uncordonNode", summary: "Open it to work again", body: actionBody },
  { event: "drain", operationId: "drainNode", summary: "Have its work checkpoint and leave until the deadline", body: drainBody },
  { event: "diagnose", operationId: "diagnoseNode", summary: "Have a repair hook see to a node that is out of service, once it has no work", body: cordonBody },
  { event: "retire", operationId: "retireNode", summary: "Take a node that has no work out for good; uncordon takes it back", body: cordonBody },
];

export function nodeRoutes(app: App, context: Context): void {
  const { pool, waker } = context;

  app.get(
    "/v1/nodes",
    {
      schema: {
        operationId: "listNodes",
        tags: ["nodes"],
        summary: "List nodes by name",
        querystring: z.object({
          ...pageQuery,
          pool: z.string().max(63).optional(),
          health: z.string().max(256).optional().describe("one or more, joined by commas"),
        }),
        response: { 200: nodePage },
      },
    },
    async (request) => {
      const { limit, cursor, health, pool: of } = request.query;
      const rows = await listNodes(
        pool,
        { visible: visibleProjects(identityOf(request)), pool: of, health: wordList(health, NODE_HEALTH, "health") },
        limit + 1,
        decodeCursor(cursor, NAME) ?? null,
      );
      const faults = new Map(
        (
          await readLemons(
            pool,
            rows.map((row) => row.name),
          )
        ).map((one) => [one.node, one]),
      );
      return toPage(
        rows,
        limit,
        (row) => toNodeView(row, faults.get(row.name)),
        (row) => row.name,
      );
    },
  );
  app.get(
    "/v1/nodes/:name",
    { schema: { operationId: "getNode", tags: ["nodes"], summary: "Get a node", params: nameParams, response: { 200: nodeView } } },
    async (request, reply) => {
      const node = await view(pool, identityOf(request), request.params.name);
      setVersion(reply, node.version);
      return node;
    },
  );
  app.put(
    "/v1/nodes/:name",
    {
      schema: {
        operationId: "putNode",
        tags: ["nodes"],
        summary: "Register a node, or change what it is",
        params: nameParams,
        querystring: dryRunQuery,
        headers: ifMatchHeaders,
        body: nodeSpec,
        response: { 200: nodeView, 201: nodeView },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const spec = request.body;
      sameName(name, spec.name);
      return put(context, "node", name, request, reply, async (client, version) => {
        const [into] = await listPools(client, spec.pool);
        if (!into)
          throw new Problem("invalid", `pool: there is no pool ${spec.pool}`, {
            errors: [{ path: "pool", message: `there is no pool ${spec.pool}; put it first` }],
          });
        if (spec.fabric.length > 0 && spec.fabric.length > (into.spec.fabric_levels ?? []).length && into.spec.fabric_levels) {
          throw new Problem("invalid", "fabric: more names than the pool has levels", {
            errors: [{ path: "fabric", message: `expected at most ${into.spec.fabric_levels.length} names: ${into.spec.fabric_levels.join(", ")}` }],
          });
        }
        const shard = spec.shard ?? spec.pool;
        const before = version === undefined ? undefined : await lockNode(client, name);
        if (before?.held && before.pool !== spec.pool) throw new Problem("in_use", `Node ${name} has work; drain it before it moves to another pool`);
        await ensureShard(client, shard, into.engine);
        await putNode(client, {
          name,
          pool: spec.pool,
          shard,
          fabric: spec.fabric,
          devices: spec.devices,
          deviceMemory: spec.device_memory,
          cpuMillis: Math.round(spec.cpus * 1000),
          memory: spec.memory,
          address: spec.address,
          labels: spec.labels,
        });
        return { view: await view(client, identityOf(request), name), event: { node: name, pool: spec.pool } };
      });
    },
  );
  app.delete(
    "/v1/nodes/:name",
    { schema: { operationId: "deleteNode", tags: ["nodes"], summary: "Forget a node that has no work", params: nameParams, response: { 204: z.null() } } },
    async (request, reply) => {
      const { name } = request.params;
      await transaction(pool, async (client) => {
        const row = await lockNode(client, name);
        if (!row) throw notFound("node", name);
        if (row.held) throw new Problem("in_use", `Node ${name} has work; drain it first`);
        await deleteDeclared(client, "node", name);
        await appendEvents(client, [{ kind: "node.deleted", actor: identityOf(request).subject, node: name, pool: row.pool }]);
      });
      context.cluster.forget();
      waker.wake();
      return reply.code(204).send(null);
    },
  );

  for (const { event, operationId, summary, body } of ACTIONS)
    app.post(
      `/v1/nodes/:name/${event}`,
      { schema: { operationId, tags: ["nodes"], summary, params: nameParams, body, response: { 200: nodeView } } },
      (request) => change(request.params.name, event, request.body, identityOf(request)),
    );
  app.post(
    "/v1/nodes/:name/health",
    {
      schema: {
        operationId: "reportNodeHealth",
        tags: ["nodes"],
        summary: "Report what a health check found",
        params: nameParams,
        body: nodeHealthBody,
        response: { 200: nodeView },
      },
    },
    async (request) => {
      const { name } = request.params;
      const identity = identityOf(request);
      const node = await transaction(pool, async (client) => {
        if (!(await reportHealth(client, name, request.body, identity.subject))) throw notFound("node", name);
        return view(client, identity, name);
      });
      waker.wake();
      return node;
    },
  );

  async function change(name: string, event: NodeEvent, { reason, deadline = null }: NodeAction, identity: Identity): Promise<NodeView> {
    const node = await transaction(pool, async (client) => {
      const row = await lockNode(client, name);
      if (!row) throw notFound("node", name);
      const next = nextNodeHealth(row.health, event);
      if (next === undefined) throw wrongState(event, row.health);
      if (event === "retire" && row.held) throw new Problem("in_use", `Node ${name} has work; drain it first`);
      if (next !== row.health || event === "drain")
        await moveNode(client, { name, pool: row.pool, health: row.health }, [event], { reason, actor: identity.subject, deadline });
      return view(client, identity, name);
    });
    waker.wake();
    return node;
  }
}

async function view(client: Client, identity: Identity, name: string): Promise<NodeView> {
  const [row] = await listNodes(client, { visible: visibleProjects(identity), name }, 1, null);
  if (!row) throw notFound("node", name);
  return toNodeView(row, (await readLemons(client, [name]))[0]);
}

function wrongState(event: NodeEvent, health: NodeHealth): Problem {
  const possible = (["cordon", "uncordon", "drain", "diagnose", "retire"] as const).filter(
    (one) => nextNodeHealth(health, one) !== undefined && (one !== "retire" || health !== "retired"),
  );
  return new Problem("wrong_state", `A node that is ${health} can't be asked to ${event}; possible now: ${possible.join(", ")}`, {
    more: { state: health, possible },
  });
}
