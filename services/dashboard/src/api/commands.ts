import type { JobView, NodeView } from "@muster/model";
import type { JobAction } from "../lib/actions.ts";
import { send } from "./client.ts";

export interface JobCommand {
  action: JobAction;
  reason: string;
  /** For `priority`. */
  priority?: string;
}

/** Asks for one thing; what the job then is comes with the next answer. */
export async function commandJob(job: JobView, command: JobCommand): Promise<void> {
  const path = `/v1/jobs/${encodeURIComponent(job.id)}`;
  if (command.action === "priority") await send(path, { method: "PATCH", body: { priority: command.priority }, headers: { "if-match": `"${job.version}"` } });
  else await send(`${path}/${command.action}`, { method: "POST", body: { reason: command.reason } });
}

export type NodeAction = "cordon" | "uncordon" | "drain";

export async function commandNode(node: Pick<NodeView, "name">, action: NodeAction, reason: string, deadline?: number): Promise<void> {
  const body = action === "uncordon" ? (reason === "" ? {} : { reason }) : { reason, ...(deadline === undefined ? {} : { deadline }) };
  await send(`/v1/nodes/${encodeURIComponent(node.name)}/${action}`, { method: "POST", body });
}
