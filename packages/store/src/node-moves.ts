import { nextNodeHealth, type NodeEvent } from "@muster/lifecycle";
import type { NodeHealth } from "@muster/model";
import { setNodeHealth } from "./api/nodes.ts";
import { appendEvents } from "./events.ts";
import type { Client } from "./pool.ts";

/* Changes of a node's health: each by the table of transitions, with a reason, an actor and an event. */

export interface Why {
  reason: string;
  actor: string;
  /** What set it, where that wasn't a person: a check, a rule. Its own `ok` clears it, and it counts against the quarantine. */
  setBy?: string | null;
  /** Seconds until what is still there is stopped. */
  deadline?: number | null;
  data?: Record<string, unknown>;
}

/** Takes a locked node through events; those that its state doesn't allow are passed over. @returns its health then */
export async function moveNode(
  client: Client,
  node: { name: string; pool: string; health: NodeHealth },
  events: readonly NodeEvent[],
  why: Why,
): Promise<NodeHealth> {
  const reason = why.reason.slice(0, 1000);
  let { health } = node;
  for (const event of events) {
    const to = nextNodeHealth(health, event);
    if (to === undefined) continue;
    const data = {
      reason,
      from: health,
      to,
      ...(why.setBy && { set_by: why.setBy }),
      ...(why.deadline !== undefined && why.deadline !== null && { deadline_seconds: why.deadline }),
      ...why.data,
    };
    health = to;
    await appendEvents(client, [{ kind: `node.${event}`, actor: why.actor, node: node.name, pool: node.pool, data }]);
  }
  if (health === node.health && !events.includes("drain")) return health;
  const ready = health === "ready";
  await setNodeHealth(
    client,
    node.name,
    health,
    ready ? null : reason,
    ready ? null : why.actor,
    health === "draining" ? (why.deadline ?? null) : null,
    ready || health === "probation" ? null : (why.setBy ?? null),
  );
  return health;
}
