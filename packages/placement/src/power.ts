import type { PoolInput } from "./cluster-input.ts";
import type { NodeTable } from "./nodes.ts";
import type { Partition } from "./partition.ts";

/** How many more devices of a pool may be in use at a time, by what it may draw and what a busy device draws. */
export class Power {
  readonly #nodes: NodeTable;
  readonly #pools: ReadonlyMap<string, PoolInput>;
  readonly #partitions: readonly Partition[];
  readonly #inUse = new Map<string, { seen: number; devices: number }>();

  constructor(nodes: NodeTable, pools: ReadonlyMap<string, PoolInput>, partitions: readonly Partition[]) {
    this.#nodes = nodes;
    this.#pools = pools;
    this.#partitions = partitions;
  }

  limited(pool: string): boolean {
    const input = this.#pools.get(pool);
    return input?.powerBudget !== undefined && (input.devicePower ?? 0) > 0;
  }

  /** Devices that may be in use at a time; infinity where the pool has no budget. */
  most(pool: string): number {
    if (!this.limited(pool)) return Infinity;
    const { powerBudget, devicePower } = this.#pools.get(pool)!;
    return Math.floor(powerBudget! / devicePower!);
  }

  /** So many more; a device counts as in use as soon as any of it is held. */
  devicesLeft(pool: string): number {
    return this.limited(pool) ? Math.max(0, this.most(pool) - this.#devicesInUse(pool)) : Infinity;
  }

  #devicesInUse(pool: string): number {
    const { changes, deviceCount, freeDevices } = this.#nodes;
    let known = this.#inUse.get(pool);
    if (known?.seen !== changes) {
      let devices = 0;
      for (const partition of this.#partitions) {
        if (partition.pool === pool) for (const slot of partition.members) devices += deviceCount[slot]! - freeDevices[slot]!;
      }
      known = { seen: changes, devices };
      this.#inUse.set(pool, known);
    }
    return known.devices;
  }
}
