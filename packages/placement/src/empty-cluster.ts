import type { NodeInput } from "./cluster-input.ts";
import { devicesEach } from "./counts.ts";
import { placeGang } from "./gang.ts";
import type { Partition } from "./partition.ts";
import { place } from "./place.ts";
import { Placer } from "./placer.ts";
import { atLeast } from "./preempt.ts";
import { crossesZones } from "./preference.ts";
import { leadingRole, type Request, type ResolvedRole, type ResolvedVariant } from "./request.ts";
import type { State } from "./state.ts";
import type { Lane } from "./waiting.ts";

/**
 * All registered nodes, healthy and with nothing on them: what could ever run. One role is counted on the cluster itself; for several
 * there is a second table of nodes, laid out when it is first needed.
 */
export class EmptyCluster {
  /** Raised when another answer may be true. */
  version = 0;
  readonly #state: State;
  #placer: Placer | null = null;
  #known = new WeakMap<ResolvedVariant, Map<Partition, boolean>>();
  #knownAt = 0;

  constructor(state: State) {
    this.#state = state;
  }

  put(before: NodeInput | undefined, input: NodeInput): void {
    if (before !== undefined && isSameHardware(before, input)) return;
    this.version++;
    this.#placer?.putNode(asNew(input));
  }

  remove(id: string): void {
    this.version++;
    this.#placer?.removeNode(id);
  }

  /** Whether a variant, at its least size, would find room with the role that leads in this partition. */
  takes(request: Request, variant: ResolvedVariant, lead: Partition): boolean {
    if (this.#knownAt !== this.version) {
      this.#known = new WeakMap();
      this.#knownAt = this.version;
    }
    const known = this.#known.get(variant) ?? new Map<Partition, boolean>();
    this.#known.set(variant, known);
    let takes = known.get(lead);
    if (takes === undefined) {
      const anywhere = crossesZones(this.#state, atLeast(request, variant), 0);
      takes = variant.roles.length === 1 ? this.#counts(anywhere, variant.roles[0]!, lead) : this.#tries(anywhere, lead);
      known.set(lead, takes);
    }
    return takes;
  }

  #counts(request: Request, role: ResolvedRole, partition: Partition): boolean {
    const { placer, levels } = this.#state;
    if (role.min * devicesEach(role.shape) > placer.power.most(partition.pool)) return false;
    const ask = { members: role.min, layers: role.layers.filter((layer) => layer.required), within: request.withinRequired ? request.within : levels.root };
    return placeGang(placer.counts(partition, role.shape, true), placer.nodes, ask) !== null;
  }

  #tries(request: Request, lead: Partition): boolean {
    const placer = (this.#placer ??= this.#build());
    placer.layout();
    const there = placer.partitions.find(({ pool, accelerator }) => pool === lead.pool && accelerator === lead.accelerator);
    if (there === undefined) return false;
    // Nodes that it leaves out may be in order again some day.
    const placed = place(placer, { ...request, excludedNodes: [], preferredNodes: [] }, { lead: there });
    if (placed !== null) placer.untake(placed);
    return placed !== null;
  }

  #build(): Placer {
    const placer = new Placer(this.#state.levels, this.#state.placer.pools);
    for (const node of this.#state.nodeInputs.values()) placer.putNode(asNew(node));
    return placer;
  }
}

function asNew({ id, pool, accelerator, devices, cpuMillis, memoryBytes, fabric }: NodeInput): NodeInput {
  return { id, pool, accelerator, devices, cpuMillis, memoryBytes, schedulable: true, ...(fabric !== undefined && { fabric }) };
}

function isSameHardware(a: NodeInput, b: NodeInput): boolean {
  const same = (["pool", "accelerator", "devices", "cpuMillis", "memoryBytes"] as const).every((field) => a[field] === b[field]);
  return same && JSON.stringify(a.fabric) === JSON.stringify(b.fabric);
}

/** False where jobs of a lane could start on no registered hardware, or use more than their queue ever may: they wait for other nodes or quotas, and hold up nobody. */
export function couldEverStart(state: State, lane: Lane): boolean {
  const { empty, placer, quota } = state;
  const at = empty.version + quota.structure;
  if (lane.everAt !== at) {
    lane.everAt = at;
    lane.ever = lane.request.variants.some((variant) =>
      placer.matching(variant, leadingRole(variant)).some((lead) => {
        const usage = placer.chargesFor(variant, lead);
        return usage !== null && quota.couldEverAllow(lane.queue, quota.usageOf(usage)) && empty.takes(lane.request, variant, lead);
      }),
    );
  }
  return lane.ever;
}
