import { HANG_LIMITS, judgeHang, type HangDecision } from "@muster/lifecycle";
import { attemptKey, lockGangs, readQuiet, readWatchedShards, takeLease, transaction, type Pool, type QuietRow } from "@muster/store";
import type { Logger } from "pino";
import { leaveBadNodes } from "./bad-nodes.ts";
import { endAttempts } from "./end-attempts.ts";
import { watchLosses } from "./loss-watch.ts";

const LEASE_SECONDS = 5;

export interface HangWatchOptions {
  pool: Pool;
  logger: Logger;
  holder: string;
  /** Milliseconds of silence after which a shard doesn't count as heard; a pause of the watch so long begins it anew. */
  silentAfter: number;
}

/**
 * Ends attempts that live and make no progress, one supervisor at a time. Time in which a shard was not listened to, as while the
 * control plane or the database was away, doesn't count against what runs there: the store keeps it, so that restarts don't
 * begin the clock anew. What this remembers is only since when it hears of each shard.
 */
export class HangWatch {
  readonly #options: HangWatchOptions;
  readonly #heard = new Map<string, { epoch: string; since: number; until: number }>();
  #lastRound = 0;

  constructor(options: HangWatchOptions) {
    this.#options = options;
  }

  /** @returns whether something others act on changed */
  async round(): Promise<boolean> {
    const { pool, holder } = this.#options;
    if (!(await takeLease(pool, "hang-watch", holder, LEASE_SECONDS))) {
      this.#heard.clear();
      return false;
    }
    await this.#listen();
    const hung = (await readQuiet(pool, null)).filter((row) => this.#judge(row).kind === "hung");
    const ended = hung.length > 0 && (await this.#end(hung));
    await watchLosses(pool);
    const left = await leaveBadNodes(pool);
    return ended || left;
  }

  async #listen(): Promise<void> {
    const { pool, silentAfter } = this.#options;
    const { now, shards } = await readWatchedShards(pool);
    if (now - this.#lastRound > silentAfter) this.#heard.clear();
    this.#lastRound = now;
    const before = new Map(this.#heard);
    this.#heard.clear();
    for (const { name, last_seen: seen, owner_epoch: epoch } of shards) {
      if (epoch === null || seen === null || now - seen > silentAfter) continue;
      const known = before.get(name);
      this.#heard.set(name, { epoch, since: known?.epoch === epoch ? known.since : now, until: seen });
    }
  }

  #judge(row: QuietRow): HangDecision {
    const heard = row.shards.map((shard) => this.#heard.get(shard));
    const all = heard.filter((one) => one !== undefined);
    const { silentAfter } = this.#options;
    const facts = {
      // what was done since a shard was last heard of can't be known yet
      now: Math.min(row.now, ...all.map((one) => one.until)),
      upAt: row.up_at,
      stepAt: row.step_at,
      step: row.step,
      reports: row.reports,
      phase: row.phase,
      intervals: row.intervals,
      // shorter than this, a shard that isn't heard of can't be told from a job that hangs
      hangTimeout: row.hang_timeout === null ? null : Math.max(row.hang_timeout, 2 * silentAfter),
      heardSince: all.length < heard.length ? null : Math.max(0, ...all.map((one) => one.since)),
      unheard: row.unheard,
    };
    return judgeHang(facts, { ...HANG_LIMITS, settle: Math.min(HANG_LIMITS.settle, 6 * silentAfter) });
  }

  /** Judges once more with the jobs locked, and brings down what is still hung: the restart policy goes by what was found. */
  async #end(hung: readonly QuietRow[]): Promise<boolean> {
    const { pool, logger } = this.#options;
    return transaction(pool, async (client) => {
      const gangs = (await lockGangs(client, hung)).filter((gang) => gang.current && gang.state === "running" && gang.attempt_state === "running");
      const rows = new Map((await readQuiet(client, gangs)).map((row) => [attemptKey(row), row]));
      const ended = gangs.flatMap((gang) => {
        const row = rows.get(attemptKey(gang));
        const decision = row && this.#judge(row);
        return decision?.kind === "hung"
          ? [{ gang, found: { rule: "hang" as const, evidence: decision.evidence }, kind: "job.no_progress", condition: "no_progress" }]
          : [];
      });
      await endAttempts(client, ended);
      for (const { gang, found } of ended) logger.warn({ job: gang.job, evidence: found.evidence }, "no progress: the attempt is ended");
      return ended.length > 0;
    });
  }
}
