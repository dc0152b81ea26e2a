import { applyDocument, fieldErrors } from "@muster/model";
import type { MusterClient } from "@muster/client";
import type { Command } from "commander";
import type { z } from "zod";
import { readDocuments, type Document } from "../documents.ts";
import { UsageError } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { action, type Outcome, type Session } from "../session.ts";
import { collect, withOutput } from "./options.ts";

type Applied = z.output<typeof applyDocument>;
interface Item {
  document: Document;
  parsed: Applied;
}
interface Result {
  kind: Applied["kind"];
  name: string;
  /** `applied` where the server does not show all that was declared, so that no one can tell whether it differed. */
  result: "created" | "changed" | "unchanged" | "applied";
  dry_run: boolean;
}

/** What others name comes before what names it. */
const ORDER: readonly Applied["kind"][] = ["project", "pool", "shard", "queue", "node", "window"];

export function addApply(program: Command, io: Io, outcome: Outcome): void {
  const apply = program
    .command("apply")
    .description("make pools, nodes, queues, projects, windows and shards as files declare them; all files are checked before the first change")
    .requiredOption("-f, --file <file>", "YAML or JSON, one or more documents with a kind each; - for standard input; may be repeated", collect)
    .option("--dry-run", "check and say what would change, but change nothing");
  withOutput(apply).action(
    action<{ file: string[]; dryRun?: boolean }>(io, outcome, async (session, _, options) => {
      const items = inOrder((await readDocuments(options.file, io)).map(check));
      const dryRun = options.dryRun === true;
      const results: Result[] = [];
      for (const item of items) {
        const result = await applyOne(session, item, dryRun);
        results.push(result);
        if (session.printer.isHuman) session.printer.write(`${result.kind}/${result.name} ${result.result}${dryRun ? " (dry run)" : ""}\n`);
      }
      if (!session.printer.isHuman) session.printer.list(results, { columns: [], name: (one) => `${one.kind}/${one.name}` });
    }),
  );
}

function check(document: Document): Item {
  const parsed = applyDocument.safeParse(document.content);
  if (parsed.success) return { document, parsed: parsed.data };
  const kind = document.content["kind"];
  const known = applyDocument.options.map((option) => option.shape.kind.value);
  if (!known.includes(kind as Applied["kind"])) {
    throw new UsageError(kind === undefined ? `${document.source} has no kind` : `${document.source} is of kind ${JSON.stringify(kind)}`, {
      hint: kind === "job" ? "jobs are submitted with muster job submit -f" : `write kind: and one of ${known.join(", ")}`,
    });
  }
  throw new UsageError(`${document.source} is no valid ${kind as string}`, { details: fieldErrors(parsed.error, applyDocument) });
}

/** Stable within a kind, but a queue comes after its parent. */
function inOrder(items: readonly Item[]): Item[] {
  const sorted = ORDER.flatMap((kind) => items.filter((item) => item.parsed.kind === kind));
  const queues = new Map(items.flatMap((item) => (item.parsed.kind === "queue" ? [[item.parsed.name, item.parsed] as const] : [])));
  const depth = (item: Item): number => {
    if (item.parsed.kind !== "queue") return 0;
    let levels = 0;
    // a cycle of parents is for the server to refuse
    for (let parent = item.parsed.parent; parent !== undefined && levels <= queues.size; parent = queues.get(parent)?.parent) levels++;
    return levels;
  };
  return sorted.sort((a, b) => ORDER.indexOf(a.parsed.kind) - ORDER.indexOf(b.parsed.kind) || depth(a) - depth(b));
}

async function applyOne(session: Session, { document, parsed }: Item, dryRun: boolean): Promise<Result> {
  const { kind, name } = parsed;
  const declared = declaredOf(session.client, kind);
  const { signal } = session;
  const before = await declared.find(name, { signal });
  const after = await declared.put(name, document.content, { dryRun, signal });
  const result =
    before === undefined ? "created" : !sameThing(before, after) ? "changed" : kind === "node" && parsed.device_memory > 0 ? "applied" : "unchanged";
  return { kind, name, result, dry_run: dryRun };
}

function declaredOf(client: MusterClient, kind: Applied["kind"]) {
  return { pool: client.pools, node: client.declaredNodes, queue: client.queues, project: client.projects, window: client.windows, shard: client.shards }[kind];
}

/** Whether nothing but counts differs, which change by themselves. */
function sameThing(before: object, after: object): boolean {
  const declared = (view: object): string => {
    const { version: _, ...rest } = view as Record<string, unknown>;
    for (const counted of [
      "nodes",
      "devices",
      "node_count",
      "state",
      "running_jobs",
      "largest_gang",
      "waiting",
      "active",
      "held",
      "cpus_held",
      "memory_held",
      "jobs",
      "last_seen",
      "reachable",
      "schedulable",
      "health",
      "health_since",
      "health_reason",
      "health_actor",
    ]) {
      // of a node its devices, and of a window its nodes, are declared
      const declares = counted === "devices" ? typeof rest[counted] !== "object" : counted === "nodes" && Array.isArray(rest[counted]);
      if (!declares) delete rest[counted];
    }
    return JSON.stringify(Object.entries(rest).sort(([a], [b]) => a.localeCompare(b)));
  };
  return declared(before) === declared(after);
}
