import { availableParallelism, hostname, totalmem } from "node:os";
import type { DeviceGroup } from "@muster/agent";
import { nodeSpec, poolSpec, type NodeSpec, type PoolSpec } from "@muster/model";

/**
 * This machine as pools, where it has real accelerators: a pool and a node for each model of them. Empty where it has none.
 * The machine's cpus and memory are shared out by devices.
 */
export function hostCluster(groups: readonly DeviceGroup[]): (PoolSpec | NodeSpec)[] {
  const devices = groups.reduce((sum, group) => sum + group.count, 0);
  const host =
    hostname()
      .toLowerCase()
      .replace(/[^a-z0-9-]/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 30) || "host";
  return groups.flatMap((group) => {
    const part = group.count / devices;
    const name = `${host}-${group.model}`;
    return [
      poolSpec.parse({ name, vendor: group.vendor, accelerator: group.model, site: host }),
      nodeSpec.parse({
        name,
        pool: name,
        devices: group.count,
        device_memory: group.memory,
        cpus: Math.max(1, Math.floor(availableParallelism() * part)),
        memory: Math.floor(totalmem() * part),
      }),
    ];
  });
}
