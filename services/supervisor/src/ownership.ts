import { appearAsSupervisor, dropLease, readShards, takeLease, type Pool } from "@muster/store";
import type { Logger } from "pino";
import { OwnClock } from "./own-clock.ts";
import { ShardKeeper, type EngineProvider, type KeeperOptions } from "./shard-keeper.ts";

const LEASE_SECONDS = 5;

export interface OwnershipOptions extends Omit<KeeperOptions, "shard" | "provider" | "clock"> {
  pool: Pool;
  logger: Logger;
  engines: Readonly<Record<string, EngineProvider>>;
}

/** Shares the shards out among the supervisors that are alive, by leases on the database's clock. */
export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #keepers = new Map<string, ShardKeeper>();
  readonly #clock = new OwnClock();
  #appeared = false;

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  get owned(): string[] {
    return [...this.#keepers.keys()];
  }

  wakeAll(): void {
    for (const keeper of this.#keepers.values()) keeper.wake();
  }

  /** Renews what is owned, takes a fair part of what is free, and lets go of what was lost or is too much. */
  async round(): Promise<void> {
    const { pool, holder, engines, logger } = this.#options;
    if (this.#appeared) await takeLease(pool, `supervisor:${holder}`, holder, LEASE_SECONDS);
    else if (await appearAsSupervisor(pool, holder, LEASE_SECONDS)) logger.info("the first supervisor: starts wait until the shards have said what they run");
    this.#appeared = true;
    const alive = await countSupervisors(pool);
    const shards = (await readShards(pool)).filter((shard) => engines[shard.engine]);
    const fair = Math.ceil(shards.length / Math.max(1, alive));
    for (const shard of shards) {
      const keeper = this.#keepers.get(shard.name);
      if (!keeper && this.#keepers.size >= fair) continue;
      if (keeper && this.#keepers.size > fair && !keeper.lost) {
        await this.#let(shard.name);
        continue;
      }
      const lease = await takeLease(pool, `shard:${shard.name}`, holder, LEASE_SECONDS);
      if (!lease || keeper?.lost) {
        if (keeper) await this.#let(shard.name);
      } else if (keeper) {
        keeper.renew(lease);
      } else {
        logger.info({ shard: shard.name, epoch: lease.epoch }, "keeping shard");
        this.#keepers.set(
          shard.name,
          new ShardKeeper({ ...this.#options, clock: this.#clock, provider: engines[shard.engine] as EngineProvider, shard }, lease),
        );
      }
    }
    for (const name of this.#keepers.keys()) if (!shards.some((shard) => shard.name === name)) await this.#let(name);
  }

  async #let(name: string): Promise<void> {
    const keeper = this.#keepers.get(name);
    this.#keepers.delete(name);
    await keeper?.close();
    await dropLease(this.#options.pool, `shard:${name}`, this.#options.holder).catch(() => {});
  }

  async close(): Promise<void> {
    await Promise.all([...this.#keepers.keys()].map((name) => this.#let(name)));
    this.#clock.close();
    await dropLease(this.#options.pool, `supervisor:${this.#options.holder}`, this.#options.holder).catch(() => {});
  }
}

export const RENEW_EVERY = (LEASE_SECONDS * 1000) / 4;

async function countSupervisors(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ count: number }>({
    name: "count-supervisors",
    text: "SELECT count(*)::int AS count FROM leases WHERE name LIKE 'supervisor:%' AND expires_at > now()",
  });
  return rows[0]?.count ?? 1;
}
