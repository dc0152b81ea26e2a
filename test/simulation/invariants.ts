import { compareFence, type WorkerStart } from "@muster/engine";
import { DEVICES, type Cluster, type Shard } from "./cluster.ts";
import type { Committed, SimulatedDatabase } from "./database.ts";
import type { Trainings } from "./trainings.ts";
import type { World } from "./world.ts";

interface Wrong {
  [what: string]: unknown;
  what: string;
}

interface EndedRow {
  [key: string]: unknown;
  job: string;
  number: number;
  outcome: string;
  rule: string | null;
  began: number;
  ended: number;
  shards: string[];
}

/** What must hold whenever the cluster is quiet, each as a query that gives what is wrong. `$1`: until when all was looked at before, in milliseconds. */
const HOLDINGS = `
  SELECT 'the devices held of ' || u.node || ' are not those of its workers' AS what FROM node_usage u
    LEFT JOIN (SELECT node, sum(share * cardinality(devices)) AS held FROM workers WHERE NOT released GROUP BY node) w USING (node)
    WHERE (SELECT coalesce(sum(h), 0) FROM unnest(u.held) AS h) <> coalesce(w.held, 0)
  UNION ALL SELECT 'device ' || d || ' of ' || node || ' is held ' || sum(share) || ' thousandths' FROM workers, unnest(devices) AS d
    WHERE NOT released GROUP BY node, d HAVING sum(share) > 1000
  UNION ALL SELECT 'attempt ' || a.number || ' of ' || a.job || ' is not whole' FROM attempts a
    WHERE a.state <> 'ended' AND a.gang <> (SELECT count(*) FROM workers w WHERE (w.job, w.incarnation, w.attempt) = (a.job, a.incarnation, a.number))
  UNION ALL SELECT 'attempt ' || a.number || ' of ' || a.job || ' lives beside a newer one' FROM attempts a JOIN jobs j ON j.id = a.job
    WHERE a.state <> 'ended' AND (a.incarnation, a.number) <> (j.incarnation, j.attempt)`;
const TRUTHS = `
  SELECT j.id || ' waits without a reason' AS what FROM jobs j
    WHERE j.state = 'queued' AND coalesce(j.wait_reason, 'pending_evaluation') = 'pending_evaluation' AND NOT (SELECT starts_paused FROM cluster)
  UNION ALL SELECT j.id || ' is charged for more than its attempts show' FROM jobs j
      JOIN LATERAL (SELECT count(*) FILTER (WHERE failure_class = 'user') AS users, count(*) FILTER (WHERE failure_class IN ('infrastructure', 'transient')) AS infra,
        count(*) FILTER (WHERE failure_class = 'unknown') AS others FROM attempts a WHERE a.job = j.id AND a.cause IS NOT NULL) a ON true
    WHERE (j.finished_at IS NULL OR j.finished_at >= to_timestamp($1 / 1000.0)) AND (j.user_failures > a.users OR j.infrastructure_failures > a.infra OR j.unknown_failures > a.others)
  UNION ALL SELECT 'attempt ' || a.number || ' of ' || a.job || ' failed without a record' FROM attempts a
    WHERE a.ended_at >= to_timestamp($1 / 1000.0) AND (a.outcome = 'failed' OR a.outcome = 'superseded') AND a.failure_class IS NOT NULL
      AND (a.cause IS NULL OR NOT EXISTS (SELECT FROM incident_attempts i WHERE (i.job, i.incarnation, i.attempt) = (a.job, a.incarnation, a.number)))
  UNION ALL SELECT j.id || ' failed and does not say why' FROM jobs j WHERE j.state = 'failed' AND j.failure IS NULL
  UNION ALL SELECT 'attempt ' || c.attempt || ' of ' || c.job || ' committed step ' || c.step || ' after it had ended' FROM checkpoints c
      JOIN attempts a ON (a.job, a.incarnation, a.number) = (c.job, c.incarnation, c.attempt)
    WHERE c.accepted_at >= to_timestamp($1 / 1000.0) AND c.accepted_at > a.ended_at
  UNION ALL SELECT 'attempt ' || c.attempt || ' of ' || c.job || ' committed after a newer one had' FROM checkpoints c
    WHERE c.accepted_at >= to_timestamp($1 / 1000.0)
      AND EXISTS (SELECT FROM checkpoints o WHERE o.job = c.job AND o.id < c.id AND (o.incarnation, o.attempt) > (c.incarnation, c.attempt))
  UNION ALL SELECT 'attempt ' || a.number || ' of ' || a.job || ' did not go on from the newest commit' FROM attempts a
    WHERE a.starting_at >= to_timestamp($1 / 1000.0) AND EXISTS (SELECT FROM checkpoints c
      WHERE c.job = a.job AND c.sealed_at < a.starting_at AND NOT c.pruned AND c.id > coalesce(a.resume_checkpoint, 0) AND c.attempt < a.number)`;

/** What is looked at where a scheduler has just started or stopped something. */
const OPENED = `
  SELECT 'attempt ' || a.number || ' of ' || a.job || ' was opened on ' || n.name || ', which is ' || n.health AS what
    FROM attempts a JOIN workers w ON (w.job, w.incarnation, w.attempt) = (a.job, a.incarnation, a.number) JOIN nodes n ON n.name = w.node
    WHERE a.scheduled_at >= to_timestamp($1 / 1000.0) AND a.state = 'scheduled' AND (n.health IN ('cordoned', 'draining', 'diagnosing', 'retired') OR NOT n.reachable)`;
const STOPPED = `
  WITH stopped AS (SELECT e.data->'cause'->>'for' AS for, count(DISTINCT w.node)::int AS nodes
      FROM events e JOIN workers w ON w.job = e.job AND w.attempt = e.attempt WHERE e.kind = 'job.preempted' AND e.at >= to_timestamp($1 / 1000.0) GROUP BY 1)
  SELECT 'jobs were stopped for ' || coalesce(s.for, 'nobody') || ', which does not fit then' AS what FROM stopped s LEFT JOIN jobs j ON j.id = s.for
    WHERE j.id IS NULL OR j.finished_at IS NOT NULL OR (j.state = 'queued' AND j.nodes > s.nodes
      + (SELECT count(*) FROM nodes n JOIN node_usage u ON u.node = n.name WHERE n.schedulable AND n.reachable AND 0 = ALL (u.held))
      + (SELECT count(*) FROM workers w JOIN attempts a ON (a.job, a.incarnation, a.number) = (w.job, w.incarnation, w.attempt) WHERE a.state = 'stopping' AND NOT w.released))`;
const ENDED = `
  SELECT a.job, a.number, a.outcome, a.cause->>'rule' AS rule, (extract(epoch FROM a.scheduled_at) * 1000)::float8 AS began, (extract(epoch FROM a.ended_at) * 1000)::float8 AS ended,
    ARRAY (SELECT DISTINCT w.shard FROM workers w WHERE (w.job, w.incarnation, w.attempt) = (a.job, a.incarnation, a.number)) AS shards FROM attempts a WHERE a.ended_at >= to_timestamp($1 / 1000.0) AND a.outcome IN ('failed', 'superseded')`;
const STOPPED_FOR_NOBODY = `
  SELECT 'attempt ' || a.number || ' of ' || a.job || ' was stopped, and nobody had asked' AS what FROM attempts a JOIN jobs j ON j.id = a.job
    WHERE a.ended_at >= to_timestamp($1 / 1000.0) AND a.outcome = 'stopped' AND NOT EXISTS (SELECT FROM events e WHERE e.job = a.job AND e.attempt = a.number
      AND e.kind IN ('job.preempted', 'job.resized', 'job.drained', 'job.cancel', 'job.suspend', 'job.requeue', 'job.hold'))`;

/** Watches over a simulated cluster: what must never be is told to `onWrong`. */
export class Invariants {
  readonly #world: World;
  readonly #database: SimulatedDatabase;
  readonly #cluster: Cluster;
  readonly #trainings: Trainings;
  readonly #onWrong: (what: string) => void;
  /** What may have ended an attempt, by job and attempt. */
  readonly #causes = new Map<string, Set<string>>();
  readonly #troubles: { shard: string; from: number; to: number }[] = [];
  /** Workers begun on each node that may be alive. */
  readonly #onNode = new Map<string, { start: WorkerStart; shard: Shard }[]>();
  readonly #ofJob = new Map<string, { start: WorkerStart; shard: Shard }[]>();
  /** Newest attempt that was seen of each job. */
  readonly #newest = new Map<string, { incarnation: string; attempt: number }>();
  #beside: { old: WorkerStart; shard: Shard }[] = [];
  #changed = true;
  /** Devices were taken or given back. */
  #moved = true;
  #lookedAt: number;
  checks = 0;

  constructor(options: { world: World; database: SimulatedDatabase; cluster: Cluster; trainings: Trainings; onWrong: (what: string) => void }) {
    this.#world = options.world;
    this.#database = options.database;
    this.#cluster = options.cluster;
    this.#trainings = options.trainings;
    this.#onWrong = options.onWrong;
    this.#lookedAt = options.world.now();
  }

  /** What runs in a place may end for what went on there; milliseconds since 1970. */
  blamePlace(shard: string, from: number, to: number): void {
    this.#troubles.push({ shard, from, to });
  }

  blame(job: string, attempt: number, why: string): void {
    const key = `${job}/${attempt}`;
    this.#causes.set(key, (this.#causes.get(key) ?? new Set()).add(why));
  }

  /** An engine starts a worker. */
  began(start: WorkerStart, shard: Shard): void {
    const newest = this.#newest.get(start.job);
    if (newest && compareFence(start, newest) < 0) this.#onWrong(`attempt ${start.attempt} of ${start.job} started after ${newest.attempt} had`);
    this.#newest.set(start.job, { incarnation: start.incarnation, attempt: start.attempt });
    const here = keepAlive(this.#onNode, start.node);
    const held = Array.from({ length: DEVICES }, () => 0);
    for (const { devices } of [...here.map((one) => one.start), start]) for (const index of devices.indices) held[index] = (held[index] ?? 0) + devices.share;
    if (held.some((share) => share > 1000))
      this.#onWrong(`two workers on one device of ${start.node}: ${here.map((one) => one.start.job).join()} and ${start.job}`);
    here.push({ start, shard });
    const ofJob = keepAlive(this.#ofJob, start.job);
    for (const older of ofJob) if (compareFence(older.start, start) !== 0) this.#beside.push({ old: older.start, shard: older.shard });
    ofJob.push({ start, shard });
  }

  async afterStep(): Promise<void> {
    if (this.#beside.length === 0 || this.#database.isBusy) return;
    const beside = this.#beside.splice(0);
    const rows = await this.#database.look<{ name: string }>("SELECT name FROM nodes WHERE reachable AND name = ANY ($1)", [beside.map(({ old }) => old.node)]);
    for (const { old } of beside)
      if (rows.some(({ name }) => name === old.node))
        this.#onWrong(`attempt ${old.attempt} of ${old.job} lives on ${old.node}, which is reachable, and a newer one has started`);
  }

  async afterCommit({ names }: Committed): Promise<void> {
    this.#changed = true;
    if (names.has("scheduler-open") || names.has("release-ended")) this.#moved = true;
    if (names.has("scheduler-open")) await this.#expectNone(OPENED, this.#world.now());
    if (names.has("scheduler-stop-jobs")) await this.#expectNone(STOPPED, this.#world.now());
  }

  async whenQuiet(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    this.checks++;
    const since = this.#lookedAt;
    if (this.#moved) await this.#expectNone(HOLDINGS);
    this.#moved = false;
    await this.#expectNone(TRUTHS, since);
    await this.#expectNone(STOPPED_FOR_NOBODY, since);
    for (const one of await this.#database.look<EndedRow>(ENDED, [since])) {
      const { job, number, outcome, rule, began, ended, shards } = one;
      const wasTroubled = this.#troubles.some(({ shard, from, to }) => shards.includes(shard) && from <= ended && to >= began);
      if (!wasTroubled && !this.#causes.has(`${job}/${number}`))
        this.#onWrong(`attempt ${number} of ${job} ${outcome} (${rule ?? "no rule"}), and nothing had happened to it`);
    }
    await this.#oneAttemptEach();
    this.#lookedAt = this.#world.now() - 1;
  }

  async #oneAttemptEach(): Promise<void> {
    const attempts = new Map<string, Map<string, string[]>>();
    for (const { key, node } of this.#cluster.living()) {
      const ofJob = attempts.get(key.job) ?? new Map<string, string[]>();
      const name = `${key.incarnation}/${key.attempt}`;
      ofJob.set(name, [...(ofJob.get(name) ?? []), node]);
      attempts.set(key.job, ofJob);
    }
    for (const [job, ofJob] of attempts) {
      if (ofJob.size < 2) continue;
      const rows = await this.#database.look<{ name: string }>("SELECT name FROM nodes WHERE reachable");
      const reachable = new Set(rows.map(({ name }) => name));
      const seen = [...ofJob].filter(([, nodes]) => nodes.some((node) => reachable.has(node)));
      if (seen.length > 1) this.#onWrong(`${seen.length} attempts of ${job} live on reachable nodes`);
    }
  }

  /** When nothing goes wrong any more, everything must have come to an end. */
  async atEnd(): Promise<void> {
    this.#changed = true;
    this.#moved = true;
    await this.whenQuiet();
    const rows = await this.#database.look<{ id: string; name: string; state: string; wait_reason: string | null }>(
      "SELECT id, name, state, wait_reason FROM jobs",
    );
    const known = new Map(rows.map((row) => [row.name, row]));
    for (const [name, id] of this.#trainings.acknowledged) if (known.get(name)?.id !== id) this.#onWrong(`${name} was acknowledged as ${id}, and is not there`);
    if (rows.length !== known.size) this.#onWrong(`${rows.length} jobs, but only ${known.size} were submitted`);
    const open = rows.filter(({ state }) => !["succeeded", "failed", "cancelled", "suspended", "held"].includes(state));
    for (const row of open.slice(0, 5)) this.#onWrong(`${row.id} does not come to an end: ${row.state}, ${row.wait_reason ?? "no reason to wait"}`);
    const held = await this.#database.look<{ node: string }>("SELECT node FROM node_usage WHERE 0 < ANY (held)");
    if (open.length === 0 && held.length > 0) this.#onWrong(`devices of ${held.length} nodes are still held`);
  }

  async #expectNone(query: string, ...since: number[]): Promise<void> {
    for (const { what } of await this.#database.look<Wrong>(query, since)) this.#onWrong(what);
  }
}

function keepAlive(map: Map<string, { start: WorkerStart; shard: Shard }[]>, key: string): { start: WorkerStart; shard: Shard }[] {
  const alive = (map.get(key) ?? []).filter(({ start, shard }) => shard.engine.isAlive(start));
  map.set(key, alive);
  return alive;
}
