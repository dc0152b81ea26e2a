import { climb, nextNodeHealth, replace } from "@muster/lifecycle";
import type { Climb, NodeEvent, Standby } from "@muster/lifecycle";
import type { NodeHealth } from "@muster/model";
import { createEngine } from "@muster/placement";
import type { JobInput, MemberPlacement } from "@muster/placement";
import type { Invariants } from "./invariants.ts";
import type { Setting } from "./job-run.ts";
import type { Fault } from "./trace.ts";

const JOB = "job";
const DEVICES = 8;
/** Seconds: `recovery.hold` of a job that says nothing of it. */
const HOLD = 300;
/** Free nodes where a healthy replacement is always at hand: another takes the place of each that goes. */
const AT_HAND = 32;

const WAYS = {
  first: "at first",
  in_place: "in place",
  swap: "with a replacement",
  hold: "with one that came while it held the others",
  requeue: "through the queue",
};

interface Machine {
  fabric: readonly string[];
  health: NodeHealth;
}

/** What the gang was given: when it was whole, and which of its places have another node though nothing was known against theirs, with what is broken there. */
export interface Whole {
  at: number;
  moved: ReadonlyMap<number, Fault | null>;
}

/**
 * The nodes that a job runs on and those beside it. Where the job starts is decided by the placement engine, how it comes back by the
 * ladder, as in the services: in place, with a stand-in, holding what it has, or through the engine's queue.
 */
export class Floor {
  /** How often the job came back by each way. */
  readonly ways = new Map<string, number>();
  readonly #setting: Setting;
  readonly #invariants: Invariants;
  readonly #engine = createEngine();
  readonly #machines = new Map<string, Machine>();
  /** By node rank. */
  #places: string[] = [];
  readonly #vacant = new Map<number, string>();
  readonly #free = new Set<string>();
  readonly #excluded = new Set<string>();
  readonly #returns: { at: number; node: string }[] = [];
  /** Broken nodes that nothing is known against, and that the job doesn't have now. */
  readonly #ill = new Map<string, Fault>();
  #made = 0;

  constructor(setting: Setting, invariants: Invariants) {
    this.#setting = setting;
    this.#invariants = invariants;
    this.#engine.putQueue({ id: "default" });
    const count = setting.nodes + (setting.repair?.spares ?? AT_HAND);
    for (let index = 0; index < count; index++) this.#add(Math.floor(index / 32));
    this.#engine.submit(this.#job());
  }

  nodeAt(slot: number): string {
    return this.#places[slot] ?? "";
  }

  slotOf(node: string): number {
    return this.#places.indexOf(node);
  }

  inService(slot: number): boolean {
    const node = this.nodeAt(slot);
    const health = this.#machines.get(node)?.health;
    return (health === "ready" || health === "probation") && !this.#excluded.has(node);
  }

  /** The job leaves this place's node, and it is out of service until it is repaired. @param broken absent: nothing was wrong with it */
  out(slot: number, event: NodeEvent, why: string, at: number, broken: Fault | undefined): void {
    if (this.#vacant.has(slot)) return;
    const node = this.nodeAt(slot);
    this.#move(node, event);
    this.#excluded.add(node);
    this.#vacant.set(slot, why);
    const { repair } = this.#setting;
    if (!repair) return;
    this.#returns.push({ node, at: broken ? at + repair.seconds(broken) : at });
    this.#returns.sort((a, b) => a.at - b.at);
  }

  /** Until all its places have a node again, from a time on. @param rung the ladder's lowest that is left to it */
  whole(at: number, backoff: number, through: "ladder" | "queue", broken: ReadonlyMap<number, Fault>): Whole {
    this.#comeBack(at);
    if (this.#places.length === 0) return this.#queue(at, "first", broken);
    if (through === "queue") return this.#queue(at, "requeue", broken);
    const { rung } = this.#climb(backoff);
    if (rung === "in_place" || rung === "swap") return this.#reopen(at, rung);
    if (rung !== "hold") return this.#queue(at, "requeue", broken);
    for (let next = this.#returns[0]; next && next.at < at + HOLD; next = this.#returns[0]) {
      this.#comeBack(next.at);
      if (this.#standIns()) return this.#reopen(next.at, "hold");
    }
    return this.#queue(at + HOLD, "requeue", broken);
  }

  #climb(backoff: number): Climb {
    const { nodes } = this.#setting;
    return climb({
      backoff,
      out: [...this.#vacant].map(([slot, why]) => ({ node: this.nodeAt(slot), why })),
      members: nodes,
      replaced: this.#standIns() !== null,
      lent: false,
      sizes: [nodes],
      hold: HOLD,
      held: null,
      othersHold: false,
    });
  }

  #standIns(): { node: string; devices: number[] }[] | null {
    const each = { devices: DEVICES, share: 1000, cpus: 1, memory: 1 };
    const held = Array.from({ length: DEVICES }, () => 0);
    const standbys = [...this.#free].map((node): Standby => ({ node, ...this.#machine(node), spare: false, held, cpus: 1, memory: 1 }));
    return replace(
      [...this.#vacant.keys()].map((slot) => ({ node: this.nodeAt(slot), fabric: this.#machine(this.nodeAt(slot)).fabric, shared: 0, ...each })),
      standbys,
    );
  }

  /** The next attempt begins where the last one ended, but for the nodes that are out; the engine is told, as the scheduler's mirror is. */
  #reopen(at: number, rung: "in_place" | "swap" | "hold"): Whole {
    this.#count(rung);
    const gone = [...this.#vacant.keys()].map((slot) => this.nodeAt(slot));
    const standIns = this.#standIns() ?? [];
    for (const [index, slot] of [...this.#vacant.keys()].entries()) this.#places[slot] = standIns[index]?.node ?? "";
    this.#vacant.clear();
    this.#engine.released(JOB, at * 1000);
    this.#engine.updateJob(this.#job());
    this.#engine.started(JOB, { variant: 0, members: this.#places.map(memberOn), startedAt: at * 1000 });
    for (const { node } of standIns) this.#free.delete(node);
    this.#leave(gone);
    return { at, moved: new Map() };
  }

  #queue(from: number, rung: "first" | "requeue", broken: ReadonlyMap<number, Fault>): Whole {
    this.#count(rung);
    if (rung !== "first") this.#engine.released(JOB, from * 1000);
    for (let at = from; ; ) {
      this.#comeBack(at);
      this.#engine.updateJob(this.#job());
      const [start] = this.#engine.cycle(at * 1000).starts;
      if (start) return { at, moved: this.#take(start.members, broken) };
      const next = this.#returns[0];
      if (!next) throw new Error(`the job is never placed: ${this.#engine.explain(JOB).message}`);
      at = Math.max(at, next.at);
    }
  }

  /** Each rank stays on its node where the engine gave it that again. */
  #take(members: readonly MemberPlacement[], broken: ReadonlyMap<number, Fault>): Map<number, Fault | null> {
    const given = new Set(members.map(({ node }) => node));
    this.#invariants.check(
      given.size === this.#setting.nodes && members.every(({ devices }) => devices.length === DEVICES),
      "a gang starts whole, or not at all",
    );
    this.#invariants.check(
      [...given].every((node) => !this.#excluded.has(node)),
      "nothing starts on a node that the job leaves out",
    );
    const before = this.#places;
    const kept = new Set(before.filter((node) => given.has(node)));
    const others = [...given].filter((node) => !kept.has(node));
    const moved = new Map<number, Fault | null>();
    this.#places = Array.from({ length: this.#setting.nodes }, (_, slot) => {
      const node = before[slot];
      if (node !== undefined && kept.has(node)) return node;
      const other = others.pop() ?? "";
      const fault = this.#ill.get(other) ?? null;
      this.#ill.delete(other);
      if ((node !== undefined && !this.#vacant.has(slot)) || fault) moved.set(slot, fault);
      return other;
    });
    for (const [slot, node] of before.entries()) {
      if (kept.has(node) || this.#vacant.has(slot)) continue;
      const fault = broken.get(slot);
      if (fault) this.#ill.set(node, fault);
      this.#free.add(node);
    }
    const gone = [...this.#vacant.keys()].map((slot) => before[slot] as string);
    this.#vacant.clear();
    for (const node of given) this.#free.delete(node);
    this.#leave(gone);
    return moved;
  }

  /** Nodes that no worker is on any more: where a replacement is always at hand, each has another in its place. */
  #leave(gone: readonly string[]): void {
    if (this.#setting.repair) return;
    for (const node of gone) {
      this.#engine.removeNode(node);
      this.#add(Number(this.#machine(node).fabric[2]?.slice("leaf-".length)));
      this.#machines.delete(node);
      this.#excluded.delete(node);
    }
  }

  /** What was repaired by then is on probation, and no job leaves it out any more. */
  #comeBack(at: number): void {
    while (this.#returns[0] && this.#returns[0].at <= at) {
      const { node } = this.#returns.shift() as { node: string };
      for (const event of ["diagnose", "passed"] as const) this.#move(node, event);
      this.#excluded.delete(node);
      // nothing else had its place yet
      if (!this.#vacant.delete(this.slotOf(node))) this.#free.add(node);
    }
  }

  #add(leaf: number): void {
    const node = `n${this.#made++}`;
    this.#machines.set(node, { fabric: ["zone", `spine-${Math.floor(leaf / 8)}`, `leaf-${leaf}`, node], health: "ready" });
    this.#free.add(node);
    this.#tell(node);
  }

  #move(node: string, event: NodeEvent): void {
    const machine = this.#machine(node);
    const next = nextNodeHealth(machine.health, event);
    this.#invariants.check(next !== undefined, `a change of health is legal (${machine.health}, ${event})`);
    if (next === undefined) return;
    machine.health = next;
    this.#tell(node);
  }

  #tell(id: string): void {
    const { fabric, health } = this.#machine(id);
    const [zone = "", spine = "", leaf = ""] = fabric;
    this.#engine.putNode({
      id,
      pool: "h800",
      accelerator: "h800",
      devices: DEVICES,
      cpuMillis: 1,
      memoryBytes: 1,
      fabric: { zone, spine, leaf },
      schedulable: health === "ready" || health === "suspect" || health === "probation",
      ...(health === "probation" && { doubtful: true }),
    });
  }

  #job(): JobInput {
    const { nodes } = this.#setting;
    return {
      id: JOB,
      queue: "default",
      priority: 0,
      preemptible: false,
      submittedAt: 0,
      roles: [{ name: "worker", nodes: { min: nodes, max: nodes }, resources: { accelerators: DEVICES } }],
      excludedNodes: [...this.#excluded],
      preferredNodes: this.#places.filter((node, slot) => node !== "" && !this.#vacant.has(slot)),
      checkpoint: { writes: true },
    };
  }

  #machine(node: string): Machine {
    const machine = this.#machines.get(node);
    if (!machine) throw new Error(`no node ${node}`);
    return machine;
  }

  #count(way: keyof typeof WAYS): void {
    this.ways.set(WAYS[way], (this.ways.get(WAYS[way]) ?? 0) + 1);
  }
}

const ALL_DEVICES = Array.from({ length: DEVICES }, (_, device) => device);

function memberOn(node: string, rank: number): MemberPlacement {
  return { role: "worker", rank, node, devices: ALL_DEVICES, share: 1000, cpuMillis: 0, memoryBytes: 0 };
}
