import {
  readAllNodes,
  readFinishedRuns,
  readHoldings,
  readJobs,
  readLiveJobs,
  readNews,
  readNodes,
  readPools,
  readPreemptors,
  readQueues,
  readWindows,
  seenAll,
  transaction,
  type Client,
  type EventRow,
  type NodeRow,
  type Pool,
  type QueueRow,
  type SchedulingJobRow,
  type Seen,
} from "@muster/store";
import type { Mirror } from "./mirror.ts";

const LOAD_BATCH = 2000;
const AT_ONCE = 5000;
/** Finished jobs that are looked at for what their classes run for. */
const LEARNED_FROM = 2000;

/** Keys of what changed; their rows are read again. */
export class Changes {
  readonly jobs = new Set<string>();
  readonly nodes = new Set<string>();
  pools = false;
  windows = false;
  queues = false;

  add(event: Pick<EventRow, "kind" | "job" | "node" | "queue" | "pool">): void {
    if (event.job !== null) this.jobs.add(event.job);
    if (event.kind.startsWith("window.")) this.windows = true;
    // what happens to a job changes nothing of the things that its events name beside it
    if (event.kind.startsWith("job.")) return;
    if (event.queue !== null) this.queues = true;
    if (event.pool !== null) this.pools = true;
    if (event.node !== null) this.nodes.add(event.node);
  }

  get empty(): boolean {
    return this.jobs.size === 0 && this.nodes.size === 0 && !this.pools && !this.queues && !this.windows;
  }
}

/**
 * Reads everything. What was seen is told as of before, so what changes during the load is read once more, which changes
 * nothing if it was there already.
 */
export async function load(pool: Pool, mirror: Mirror): Promise<Seen> {
  const seen = await seenAll(pool);
  await transaction(pool, async (client) => {
    await client.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
    mirror.putPools(await readPools(client));
    mirror.putQueues(await readQueues(client));
    mirror.putNodes(await readAllNodes(client));
    mirror.putWindows(await readWindows(client));
    mirror.learn(await readFinishedRuns(client, LEARNED_FROM));
    for await (const rows of readLiveJobs(client, LOAD_BATCH)) await putJobs(client, mirror, rows);
    mirror.settle();
  });
  return seen;
}

export interface Followed {
  seen: Seen;
  events: number;
  /** Commit time of the newest event read. */
  newest: Date | undefined;
  more: boolean;
}

/** Collects what events name that were committed since. */
export async function follow(pool: Pool, mirror: Mirror, since: Seen, changes: Changes): Promise<Followed> {
  const { events, seen } = await readNews(pool, since, AT_ONCE);
  for (const event of events) {
    // what this scheduler itself committed is known since then
    if (
      event.kind === "job.scheduled" &&
      event.actor === "scheduler" &&
      event.job !== null &&
      event.attempt !== null &&
      mirror.knowsAttempt(event.job, event.attempt)
    )
      continue;
    changes.add(event);
  }
  return { seen, events: events.length, newest: events.at(-1)?.at, more: seen.rest !== undefined };
}

/** Reads the rows of what changed, one query a kind, and puts them into the mirror. */
export async function applyChanges(client: Client, mirror: Mirror, changes: Changes): Promise<void> {
  if (changes.empty) return;
  if (changes.pools) mirror.putPools(await readPools(client));
  const queues = changes.queues ? await readQueues(client) : undefined;
  if (changes.windows) mirror.putWindows(await readWindows(client));
  // those that are gone leave after their jobs
  if (queues) mirror.putQueues(withKnownQueues(mirror, queues));
  let gone: string[] = [];
  if (changes.nodes.size > 0) {
    const rows = await readNodes(client, [...changes.nodes]);
    await putNodes(client, mirror, rows);
    const found = new Set(rows.map((row) => row.name));
    gone = [...changes.nodes].filter((name) => !found.has(name));
  }
  if (changes.jobs.size > 0) {
    const ids = [...changes.jobs];
    const rows = await readJobs(
      client,
      ids,
      ids.filter((id) => !mirror.jobs.has(id)),
    );
    await putJobs(client, mirror, rows);
    const found = new Set(rows.map((row) => row.id));
    for (const id of ids) if (!found.has(id)) mirror.removeJob(id);
  }
  for (const name of gone) mirror.removeNode(name);
  if (queues) mirror.putQueues(queues);
  mirror.settle();
}

async function putNodes(client: Client, mirror: Mirror, rows: readonly NodeRow[]): Promise<void> {
  if (rows.some((row) => !mirror.pools.has(row.pool))) mirror.putPools(await readPools(client));
  mirror.putNodes(rows);
}

/**
 * What a job holds may be read a little later than its row. It can only have given back some of it since, and the feed will
 * tell of that.
 */
async function putJobs(client: Client, mirror: Mirror, rows: readonly SchedulingJobRow[]): Promise<void> {
  // a finished job that holds nothing is news only where it was known
  const news = rows.filter((row) => mirror.jobs.has(row.id) || row.finished_at === null || row.held_now + row.held_before > 0);
  const holdings = await readHoldings(
    client,
    news.filter((row) => mirror.needsHoldings(row)).map((row) => row.id),
  );
  const preemptors = await readPreemptors(
    client,
    news.filter((row) => row.state === "stopping" && !mirror.jobs.has(row.id)).map((row) => row.id),
  );
  // a row may name what the feed tells of only later
  if (news.some((row) => !mirror.queues.has(row.queue))) mirror.putQueues(withKnownQueues(mirror, await readQueues(client)));
  const newNodes = new Set(holdings.map((row) => row.node).filter((name) => !mirror.nodes.has(name)));
  if (newNodes.size > 0) await putNodes(client, mirror, await readNodes(client, [...newNodes]));
  const byJob = Map.groupBy(holdings, (row) => row.job);
  for (const row of news) {
    const spec = row.resolved ?? undefined;
    // the mirror keeps the row, but not the whole spec
    row.resolved = null;
    mirror.putJob({ row, spec, holdings: byJob.get(row.id), stoppingFor: preemptors.get(row.id) });
  }
}

function withKnownQueues(mirror: Mirror, rows: readonly QueueRow[]): QueueRow[] {
  const found = new Set(rows.map((row) => row.name));
  return [...rows, ...[...mirror.queues.values()].filter((known) => !found.has(known.name))];
}
