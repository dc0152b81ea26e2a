import type { Policy } from "./policy.ts";

/*
 * What goes into the placement engine stands in the files named *-input, what comes out in decisions, explanation and plan.
 *
 * Units, everywhere in this package: instants are milliseconds since the epoch, durations milliseconds, cpus
 * thousandths of a core, memory bytes, devices thousandths of a device where a share is meant. Ids are the
 * caller's strings; inside the engine everything is an index into flat arrays.
 */

/** The ladder that job specs use. A fabric may have more levels of its own between these (`ClusterOptions.levels`). */
export type Rung = "node" | "domain" | "leaf" | "spine" | "zone";

/** One level of the fabric, named from the bottom up: `domain` first, `zone` last by default. */
export interface FabricLevel {
  name: string;
  /** The rung that this level stands for; a level without one only guides rank order and best fit. */
  rung?: Exclude<Rung, "node">;
}

export interface NodeInput {
  id: string;
  pool: string;
  /** Accelerator model of its devices: `h800`, `ascend-910b`, `cpu`... */
  accelerator: string;
  devices: number;
  cpuMillis: number;
  memoryBytes: number;
  /**
   * The block it is in at each fabric level, by level name. A missing `domain` is the node itself; any other
   * missing level is one block below the next level above that is given.
   */
  fabric?: Readonly<Record<string, string>>;
  /** False while cordoned, draining, quarantined or silent: nothing new is started on it, what runs stays. */
  schedulable: boolean;
  /** Nothing is placed on it that finds room elsewhere. */
  doubtful?: boolean;
  /** Why it is not schedulable, for the reason `nodes_unhealthy`. */
  health?: string;
  /** Thousandths of each device that something else than a known job holds (a dead device: 1000). */
  heldDevices?: readonly number[];
  heldCpuMillis?: number;
  heldMemoryBytes?: number;
}

export interface PoolInput {
  id: string;
  ownership?: "owned" | "leased" | "cloud";
  /** Per device-hour, in any one currency. */
  price?: number;
  /** Nothing that cannot finish or checkpoint before is started after this. */
  leaseEnd?: number;
  /** Watts that the pool may draw, and what one busy device draws. */
  powerBudget?: number;
  devicePower?: number;
}

/** Nodes kept free for a time: maintenance, or a reservation for some jobs. */
export interface WindowInput {
  id: string;
  nodes: readonly string[];
  start: number;
  end: number;
  /** The only jobs, and queues whose jobs, may use the nodes in the window. */
  jobs?: readonly string[];
  queues?: readonly string[];
}

export interface ClusterOptions {
  /** Fabric levels from the bottom up, at most eight. Default: domain, leaf, spine, zone. */
  levels?: readonly FabricLevel[];
  policy?: Partial<Policy>;
}
