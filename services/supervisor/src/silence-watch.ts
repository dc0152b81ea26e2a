import { judgeSilence, type BrakeDecision, type SilenceDecision, type SilenceLimits, type WatchedNode } from "@muster/lifecycle";
import {
  addUnreachable,
  anyAway,
  appendEvents,
  closeIncident,
  declareLost,
  dropUnreachable,
  readAttemptsOnLostNodes,
  readBrake,
  readSettings,
  readWatchedNodes,
  readWatchedShards,
  recordFaults,
  silenceLimitsOf,
  suspectSilent,
  takeLease,
  transaction,
  type ConditionRow,
  type NewEvent,
  type Pool,
  type WatchedNodeRow,
} from "@muster/store";
import type { Logger } from "pino";
import { openIncident } from "./incidents.ts";
import { judgeAttempts } from "./judge.ts";

const ACTOR = "supervisor";
const LEASE_SECONDS = 5;
const DEFAULT_LEVELS = ["zone", "spine", "leaf", "domain"];

export interface SilenceWatchOptions {
  pool: Pool;
  logger: Logger;
  holder: string;
  /** Where the cluster's settings don't say otherwise. */
  limits: SilenceLimits;
}

/**
 * Watches for shards that aren't heard of, one supervisor at a time, by the database's clock. What it remembers is only since
 * when it has listened, so that time in which nobody listened counts as silence of nobody.
 */
export class SilenceWatch {
  readonly #options: SilenceWatchOptions;
  #limits: SilenceLimits;
  #watchingSince: number | null = null;
  #lastRound = 0;
  /** When each shard's present keeper was first seen. */
  readonly #kept = new Map<string, { epoch: string; since: number }>();
  #before = "";

  constructor(options: SilenceWatchOptions) {
    this.#options = options;
    this.#limits = options.limits;
  }

  /** @returns whether something others act on changed */
  async round(): Promise<boolean> {
    const { pool, holder } = this.#options;
    if (!(await takeLease(pool, "silence-watch", holder, LEASE_SECONDS))) {
      this.#watchingSince = null;
      return false;
    }
    const limits = { ...this.#options.limits, ...silenceLimitsOf((await readSettings(pool)).silence ?? {}) };
    this.#limits = limits;
    const { now, shards } = await readWatchedShards(pool);
    // a gap, as when the database was away or this machine did much else: whatever was sent meanwhile could not be recorded
    const gap = Math.min(limits.lost / 2, Math.max(limits.suspect / 2, LEASE_SECONDS * 1000));
    if (this.#watchingSince === null || now - this.#lastRound > gap) this.#watchingSince = now;
    this.#lastRound = now;
    const heard = new Map(
      shards.map((shard) => [
        shard.name,
        { heard: shard.last_seen ?? 0, listenedSince: this.#listenedSince(shard, now), dead: shard.dead, cluster: shard.cluster },
      ]),
    );
    const brake = await readBrake(pool);
    const silent = [...heard.values()].some((shard) => shard.dead || now - Math.max(shard.heard, shard.listenedSince) >= limits.suspect);
    if (!silent && brake.since === null && this.#before === "" && !(await anyAway(pool))) return false;
    const rows = await readWatchedNodes(pool);
    const nodes = rows.map((row): WatchedNode => {
      const { cluster, ...shard } = heard.get(row.shard) ?? { heard: now, listenedSince: now, dead: false, cluster: false };
      // its cluster answers, but doesn't hear of it: what the cluster says is no sign of the node's life
      return {
        node: row.name,
        switch: switchOf(row),
        ...shard,
        heard: Math.min(shard.heard, row.away ?? shard.heard),
        clusterAway: cluster && row.away === null,
        lost: row.lost,
        confirmed: row.confirmed,
      };
    });
    const decision = judgeSilence({ now, limits, nodes, watchingSince: this.#watchingSince, brakedSince: brake.since, liftedAt: brake.liftedAt });
    const unheard = rows.filter((row) => row.lost || decision.suspect.includes(row.name)).map((row) => row.name);
    // one after another, as each locks rows of another table; jobs first, so that no lost node has a job that seems well
    const changed = [
      await this.#markJobs(unheard),
      await this.#markNodes(decision, new Set(nodes.filter((node) => node.dead).map((node) => node.node))),
      await this.#supersede(),
    ];
    this.#before = unheard.join();
    return (await this.#brake(decision.brake, brake.incident)) || changed.includes(true);
  }

  async #markNodes(decision: SilenceDecision, dead: ReadonlySet<string>): Promise<boolean> {
    const { pool } = this.#options;
    const limits = this.#limits;
    if (decision.suspect.length + decision.lost.length === 0) return false;
    return transaction(pool, async (client) => {
      const reason = `not heard of for ${Math.round(limits.suspect / 1000)} s`;
      const suspect = await suspectSilent(client, decision.suspect, reason);
      const lost = await declareLost(client, decision.lost, limits.lost / 1000);
      await appendEvents(client, [
        ...suspect.map((node) => ({ kind: "node.suspect", actor: ACTOR, node: node.name, pool: node.pool, data: { reason } })),
        ...lost.map((node) => ({
          kind: "node.lost",
          actor: ACTOR,
          node: node.name,
          pool: node.pool,
          data: dead.has(node.name) ? { died: true } : { silent_for: limits.lost / 1000 },
        })),
      ]);
      await recordFaults(
        client,
        lost.map(({ name }) => ({
          kind: "node_lost",
          severity: "warning",
          node: name,
          evidence: [dead.has(name) ? `what kept ${name} died, and nothing can be started there` : `${name} was not heard of for ${limits.lost / 1000} s`],
          class: "infrastructure",
          rule: dead.has(name) ? "death" : "silence",
          action: "declared lost; jobs that may go on without it do",
        })),
      );
      return suspect.length + lost.length > 0;
    });
  }

  async #markJobs(unheard: readonly string[]): Promise<boolean> {
    return transaction(this.#options.pool, async (client) => {
      const added = await addUnreachable(client, unheard);
      const dropped = await dropUnreachable(client, unheard);
      await appendEvents(client, [...added.map((job) => condition(job, "job.unreachable")), ...dropped.map((job) => condition(job, "job.reachable"))]);
      return added.length + dropped.length > 0;
    });
  }

  /** Level-triggered: what is on lost nodes is judged until it has been gone on without. */
  async #supersede(): Promise<boolean> {
    return transaction(this.#options.pool, async (client) => {
      const attempts = await readAttemptsOnLostNodes(client);
      return (await judgeAttempts(client, attempts)).changed;
    });
  }

  /** A shard that nobody keeps is silent for nobody; one whose keeper is new has had no time to speak. */
  #listenedSince(shard: { name: string; owner_epoch: string | null }, now: number): number {
    if (shard.owner_epoch === null) {
      this.#kept.delete(shard.name);
      return now;
    }
    let kept = this.#kept.get(shard.name);
    if (kept?.epoch !== shard.owner_epoch) this.#kept.set(shard.name, (kept = { epoch: shard.owner_epoch, since: now }));
    return kept.since;
  }

  async #brake(decision: BrakeDecision, incident: string | null): Promise<boolean> {
    const { pool, logger } = this.#options;
    if (decision.kind === "engage") {
      logger.error({ nodes: decision.silent }, decision.why);
      await transaction(pool, async (client) => {
        const id = await openIncident(client, {
          kind: "mass_silence",
          severity: "critical",
          evidence: [decision.why, ...decision.silent],
          action: "no node is declared lost until they are heard of, the incident is closed, or the control plane was well for a while",
        });
        await appendEvents(client, [{ kind: "cluster.mass_silence", actor: ACTOR, data: { incident: id, nodes: decision.silent } }]);
      });
      return true;
    }
    if (decision.kind === "lift" && incident !== null) {
      logger.warn({ incident }, decision.why);
      await transaction(pool, async (client) => {
        if (await closeIncident(client, incident, decision.why))
          await appendEvents(client, [{ kind: "cluster.mass_silence_over", actor: ACTOR, data: { incident, why: decision.why } }]);
      });
      return true;
    }
    return false;
  }
}

/** The path down to the leaf switch; without a leaf level, or above it, nothing is known of a common switch. */
function switchOf({ fabric, fabric_levels: levels }: WatchedNodeRow): string | null {
  const leaf = (levels && levels.length > 0 ? levels : DEFAULT_LEVELS).indexOf("leaf");
  return leaf < 0 || fabric.length <= leaf ? null : fabric.slice(0, leaf + 1).join("/");
}

function condition({ job, project, attempt }: ConditionRow, kind: string): NewEvent {
  return { kind, actor: ACTOR, project, job, attempt };
}
