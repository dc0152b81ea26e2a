/*
 * What it means that a node isn't heard of. Unreachable is not failed: silence alone declares a node lost only while the
 * control plane has listened all that time, and never for many at once, as then the trouble is likelier its own. All times
 * are milliseconds of one clock, the database's.
 */

export interface SilenceLimits {
  /** Silence after which a node is suspect. */
  suspect: number;
  /** Silence after which a node is lost. */
  lost: number;
  /** The brake needs more than this part of all nodes... */
  brakeFraction: number;
  /** ...and at least so many. */
  brakeNodes: number;
  /** How long the control plane must have been well for the brake to lift by itself, and how long a cluster may be away. */
  brakeRelease: number;
}

export const SILENCE_LIMITS: SilenceLimits = { suspect: 20_000, lost: 25_000, brakeFraction: 0.2, brakeNodes: 5, brakeRelease: 600_000 };

export interface WatchedNode {
  node: string;
  /** The switch that it hangs on, by its whole path; null where that isn't known. */
  switch: string | null;
  /** When it was last heard of. */
  heard: number;
  /** Since when somebody listens to it. */
  listenedSince: number;
  /** What kept it died, and none could be started in its place: that needs no silence to be known. */
  dead?: boolean;
  /** What is silent is the API server of its cluster, which says nothing of the node. */
  clusterAway?: boolean;
  /** Already declared lost. */
  lost: boolean;
  /** Somebody else than the control plane says since that it is dead: then its silence is no riddle. */
  confirmed?: boolean;
}

export interface SilenceInput {
  now: number;
  limits: SilenceLimits;
  /** Every node of the cluster. */
  nodes: readonly WatchedNode[];
  /** Since when the control plane has watched without a gap: a restart, or a database that was away, begins it anew. */
  watchingSince: number;
  /** Since when the brake is on; null: it is off. */
  brakedSince: number | null;
  /** When the brake was last lifted; null: never. Who was suspect then doesn't count for it again, unless it was heard of since. */
  liftedAt: number | null;
}

export type BrakeDecision =
  | { kind: "off" }
  | { kind: "engage"; silent: string[]; why: string }
  | { kind: "hold"; silent: string[] }
  | { kind: "lift"; why: string };

export interface SilenceDecision {
  /** Nodes that are silent for longer than the suspect limit and not lost (yet). */
  suspect: string[];
  /** Nodes to declare lost now. */
  lost: string[];
  brake: BrakeDecision;
}

export function judgeSilence(input: SilenceInput): SilenceDecision {
  const { now, limits, nodes, watchingSince } = input;
  // under the brake only an answer counts, not that listening began anew
  const onset = (node: WatchedNode): number => (node.lost || input.brakedSince !== null ? node.heard : Math.max(node.heard, node.listenedSince, watchingSince));
  const silent = nodes.filter((node) => node.dead || now - onset(node) >= limits.suspect);
  const suspect = silent.filter((node) => !node.lost).map((node) => node.node);
  const limitOf = (node: WatchedNode): number => (node.clusterAway ? Math.max(limits.lost, limits.brakeRelease) : limits.lost);
  const due = silent.filter((node) => !node.lost && (node.dead || now - onset(node) >= limitOf(node)));
  const confirmed = due.filter((node) => node.confirmed).map((node) => node.node);
  const fresh = silent
    .filter((node) => !node.confirmed && (input.liftedAt === null || onset(node) + limits.suspect > input.liftedAt))
    .map((node) => ({ node, onset: onset(node) }));
  const mass = massSilence(fresh, nodes.length, limits);
  if (input.brakedSince !== null) {
    if (!mass) return { suspect, lost: confirmed, brake: { kind: "lift", why: "enough nodes are heard of again, or known to be dead" } };
    if (now - Math.max(input.brakedSince, watchingSince) >= limits.brakeRelease) {
      return {
        suspect,
        lost: confirmed,
        brake: { kind: "lift", why: `the control plane was well for ${Math.round(limits.brakeRelease / 1000)} s, and they are still silent` },
      };
    }
    return { suspect, lost: confirmed, brake: { kind: "hold", silent: mass } };
  }
  if (mass) {
    const why = `${mass.length} of ${nodes.length} nodes, below more than one switch, fell silent within ${Math.round(limits.lost / 1000)} s`;
    return { suspect, lost: confirmed, brake: { kind: "engage", silent: mass, why } };
  }
  return { suspect, lost: due.map((node) => node.node), brake: { kind: "off" } };
}

/** The nodes that fell silent within one lost limit of each other, where they are too many for a fault of their own. */
function massSilence(silent: readonly { node: WatchedNode; onset: number }[], total: number, limits: SilenceLimits): string[] | undefined {
  const ordered = [...silent].sort((a, b) => a.onset - b.onset);
  let from = 0;
  for (const [index, last] of ordered.entries()) {
    while (last.onset - (ordered[from]?.onset ?? last.onset) > limits.lost) from++;
    const group = ordered.slice(from, index + 1);
    if (group.length < limits.brakeNodes || group.length <= total * limits.brakeFraction) continue;
    const first = group[0]?.node.switch ?? null;
    if (first === null || group.some(({ node }) => node.switch !== first))
      return ordered.filter(({ onset }) => onset >= (group[0]?.onset ?? 0)).map(({ node }) => node.node);
  }
  return undefined;
}
