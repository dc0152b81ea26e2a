import { readFileSync } from "node:fs";
import type { MusterClient } from "@muster/client";
import { applyDocument, fieldErrors, type NodeSpec, type PoolSpec, type ProjectSpec, type QueueSpec, type ShardSpec, type WindowSpec } from "@muster/model";
import { parseAllDocuments } from "yaml";

type ClusterDocument = PoolSpec | NodeSpec | QueueSpec | ProjectSpec | WindowSpec | ShardSpec;

/** What others name comes before what names it. */
const ORDER = ["project", "pool", "shard", "queue", "node", "window"];

/** Reads a cluster described as code: YAML documents of kinds project, pool, shard, queue, node, window. @throws Error naming the field */
export function readClusterFile(file: string): ClusterDocument[] {
  return parseAllDocuments(readFileSync(file, "utf8")).map((document, index) => {
    const parsed = applyDocument.safeParse(document.toJS());
    if (parsed.success) return parsed.data;
    const [error] = fieldErrors(parsed.error, applyDocument);
    throw new Error(`${file}, document ${index + 1}: ${error?.path ?? ""} ${error?.message ?? "is not valid"}`);
  });
}

/** Declares what is missing; what an operator has changed since stays. */
export async function applyMissing(client: MusterClient, documents: readonly ClusterDocument[]): Promise<void> {
  for (const document of [...documents].sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))) {
    const kind = {
      project: client.projects,
      pool: client.pools,
      queue: client.queues,
      node: client.declaredNodes,
      window: client.windows,
      shard: client.shards,
    }[document.kind];
    if ((await kind.find(document.name)) === undefined) await kind.put(document.name, document);
  }
}
