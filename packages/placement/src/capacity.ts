import type { Shape } from "./counts.ts";
import type { GangBySegment, PoolFree } from "./explanation.ts";
import { roomFor, type Layer } from "./gang.ts";
import type { Partition } from "./partition.ts";
import type { State } from "./state.ts";

/** Free room by pool; `shape` also counts how many members of it fit. */
export function poolsFree(state: State, shape: Shape | null, only: readonly Partition[] = state.placer.partitions): PoolFree[] {
  const { nodes } = state.placer;
  return only
    .filter((partition) => partition.members.size > 0)
    .map((partition) => {
      const free: PoolFree = {
        pool: partition.pool,
        accelerator: partition.accelerator,
        freeDevices: 0,
        freeNodes: 0,
        totalDevices: 0,
        membersThatFit: 0,
        unhealthyNodes: 0,
      };
      for (const slot of partition.members) {
        const total = nodes.deviceCount[slot]!;
        free.totalDevices += total;
        if (nodes.schedulable[slot] === 0) free.unhealthyNodes++;
        else {
          free.freeDevices += nodes.freeDevices[slot]!;
          if (nodes.freeDevices[slot] === total && nodes.members[slot] === 0) free.freeNodes++;
        }
      }
      if (shape !== null) free.membersThatFit = state.placer.counts(partition, shape).total;
      return free;
    });
}

export function freeDevices(state: State, partition: Partition): number {
  const { nodes } = state.placer;
  let free = 0;
  for (const slot of partition.nodeAt) if (nodes.schedulable[slot] === 1) free += nodes.freeDevices[slot]!;
  return free;
}

/** The largest gang that could start now in a partition, for each slice size asked, each slice in one block. */
export function largestGangs(state: State, partition: Partition, shape: Shape, layers: readonly Layer[]): GangBySegment[] {
  const counts = state.placer.counts(partition, shape);
  if (layers.length === 0) return [{ pool: partition.pool, within: "node", segmentNodes: 1, members: counts.total }];
  return layers.map((layer) => {
    const room = roomFor(counts, [layer]);
    const units = room.caps[room.caps.length - 1]![0] ?? 0;
    return { pool: partition.pool, within: state.levels.name(layer.level), segmentNodes: layer.size, members: units * layer.size };
  });
}
