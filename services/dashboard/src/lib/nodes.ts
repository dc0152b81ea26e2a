import type { NodeHealth, NodeView } from "@muster/model";
import { NODE_HEALTH } from "@muster/model";
import type { NodeSearch } from "./url-state.ts";

/** Out of service: it takes no work, or it might not. */
export const broken = (node: Pick<NodeView, "health" | "reachable">): boolean => node.health !== "ready" || !node.reachable;
/** Whole devices free for new work. */
export const freeDevices = (node: Pick<NodeView, "held" | "schedulable">): number => (node.schedulable ? node.held.filter((held) => held === 0).length : 0);
export const heldShares = (node: Pick<NodeView, "held">): number => node.held.reduce((sum, held) => sum + held, 0);

export function filterNodes(nodes: readonly NodeView[], search: NodeSearch): NodeView[] {
  const name = search.name?.toLowerCase();
  const healths = search.health === undefined ? undefined : new Set(search.health.split(","));
  return nodes.filter((node) => {
    if (search.pool !== undefined && node.pool !== search.pool) return false;
    if (healths && !healths.has(node.health)) return false;
    if (
      name !== undefined &&
      !node.name.toLowerCase().includes(name) &&
      !node.fabric.some((place) => place.toLowerCase().includes(name)) &&
      !node.jobs.some((job) => job === name)
    )
      return false;
    if (search.show === "broken") return broken(node);
    if (search.show === "free") return freeDevices(node) > 0;
    if (search.show === "busy") return heldShares(node) > 0;
    if (search.show === "idle") return heldShares(node) === 0 && node.schedulable;
    return true;
  });
}

const WEIGHT: Readonly<Record<NodeHealth, number>> = { diagnosing: 0, suspect: 1, draining: 2, cordoned: 3, probation: 4, retired: 5, ready: 6 };

/** What needs eyes first, then by pool and name with numbers in their order. */
export function sortNodes(nodes: readonly NodeView[]): NodeView[] {
  const names = new Intl.Collator("en", { numeric: true });
  return [...nodes].sort(
    (a, b) =>
      Number(a.reachable) - Number(b.reachable) || WEIGHT[a.health] - WEIGHT[b.health] || names.compare(a.pool, b.pool) || names.compare(a.name, b.name),
  );
}

export function healthCounts(nodes: readonly NodeView[]): { health: NodeHealth; nodes: number }[] {
  return NODE_HEALTH.map((health) => ({ health, nodes: nodes.filter((node) => node.health === health).length })).filter((item) => item.nodes > 0);
}

/** What can be done to a node by hand, in its state. */
export const nodeActions = (health: NodeHealth): ("cordon" | "drain" | "uncordon")[] =>
  health === "ready"
    ? ["cordon", "drain"]
    : health === "retired"
      ? ["uncordon"]
      : health === "draining"
        ? ["uncordon"]
        : health === "cordoned"
          ? ["uncordon", "drain"]
          : health === "diagnosing"
            ? ["cordon", "uncordon"]
            : ["cordon", "drain", "uncordon"];
