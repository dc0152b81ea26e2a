import type { NodeInput } from "./cluster-input.ts";
import type { Partition } from "./partition.ts";
import { place } from "./place.ts";
import { Placer } from "./placer.ts";
import { atLeast } from "./preempt.ts";
import { crossesZones } from "./preference.ts";
import { leadingRole, type Request, type ResolvedVariant } from "./request.ts";
import type { State } from "./state.ts";
import type { Lane } from "./waiting.ts";

/** All registered nodes, healthy and with nothing on them: what could ever run. Laid out when it is first asked. */
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
    const placer = (this.#placer ??= this.#build());
    if (this.#knownAt !== this.version) {
      this.#known = new WeakMap();
      this.#knownAt = this.version;
      placer.version++;
      placer.layout();
    }
    const known = this.#known.get(variant) ?? new Map<Partition, boolean>();
    this.#known.set(variant, known);
    let takes = known.get(lead);
    if (takes === undefined) {
      takes = this.#tries(placer, request, variant, lead);
      known.set(lead, takes);
    }
    return takes;
  }

  #build(): Placer {
    const placer = new Placer(this.#state.levels, this.#state.placer.pools);
    for (const node of this.#state.nodeInputs.values()) placer.putNode(asNew(node));
    placer.layout();
    return placer;
  }

  #tries(placer: Placer, request: Request, variant: ResolvedVariant, lead: Partition): boolean {
    const there = placer.partitions.find(({ pool, accelerator }) => pool === lead.pool && accelerator === lead.accelerator);
    if (there === undefined) return false;
    // Nodes that it leaves out may be in order again some day.
    const asked = { ...crossesZones(this.#state, atLeast(request, variant), 0), excludedNodes: [], preferredNodes: [] };
    const placed = place(placer, asked, { lead: there });
    if (placed !== null) placer.untake(placed);
    return placed !== null;
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
