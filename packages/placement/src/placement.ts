import type { Shape } from "./counts.ts";
import type { Holding } from "./nodes.ts";
import type { Partition } from "./partition.ts";
import type { ResolvedRole, ResolvedVariant } from "./request.ts";

export interface PlacedRole {
  role: ResolvedRole;
  partition: Partition;
  /** In rank order. */
  members: Holding[];
}

export interface Placement {
  variant: ResolvedVariant;
  roles: PlacedRole[];
}

/** One role's size on one partition, as quota sees it. */
export interface Charge {
  partition: Partition;
  shape: Shape;
  members: number;
}
