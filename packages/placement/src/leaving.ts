import type { JobRecord } from "./jobs.ts";
import { WHOLE, type Holding, type NodeTable } from "./nodes.ts";
import type { Placement } from "./placement.ts";

/**
 * Places that jobs have been told to leave. In the node table they are free already, so that decisions see the room
 * to come; whoever is given such room must await those who still stand in it.
 */
export class Leaving {
  readonly #nodes: NodeTable;
  readonly #byNode = new Map<number, Map<JobRecord, Holding[]>>();

  constructor(nodes: NodeTable) {
    this.#nodes = nodes;
  }

  get size(): number {
    return this.#byNode.size;
  }

  /** Nodes that someone is leaving. */
  nodes(): Iterable<number> {
    return this.#byNode.keys();
  }

  add(job: JobRecord): void {
    for (const { members } of job.leaving!.roles) {
      for (const member of members) {
        const here = this.#byNode.get(member.node) ?? new Map<JobRecord, Holding[]>();
        this.#byNode.set(member.node, here);
        here.set(job, [...(here.get(job) ?? []), member]);
      }
    }
  }

  remove(job: JobRecord): void {
    for (const { members } of job.leaving!.roles) {
      for (const { node } of members) {
        const here = this.#byNode.get(node);
        here?.delete(job);
        if (here?.size === 0) this.#byNode.delete(node);
      }
    }
  }

  /** Whom a placement, already taken in the node table, must await. */
  awaitedBy(placement: Placement): Set<JobRecord> {
    const awaited = new Set<JobRecord>();
    if (this.#byNode.size === 0) return awaited;
    for (const { members } of placement.roles) {
      for (const { node } of members) {
        const here = this.#byNode.get(node);
        if (here !== undefined && !this.#haveRoomBeside(node, here)) for (const job of here.keys()) awaited.add(job);
      }
    }
    return awaited;
  }

  /** Whether those leaving the node and all that is taken on it fit side by side. */
  #haveRoomBeside(node: number, here: ReadonlyMap<JobRecord, readonly Holding[]>): boolean {
    const nodes = this.#nodes;
    let cpu = 0;
    let memory = 0;
    const start = nodes.deviceStart[node]!;
    const devices = new Map<number, number>();
    for (const holdings of here.values()) {
      for (const holding of holdings) {
        cpu += holding.cpuMillis;
        memory += holding.memoryBytes;
        for (const d of holding.devices) devices.set(d, (devices.get(d) ?? nodes.held[start + d]!) + holding.share);
      }
    }
    if (cpu > nodes.cpuFree[node]! || memory > nodes.memoryFree[node]!) return false;
    return [...devices.values()].every((held) => held <= WHOLE);
  }
}
