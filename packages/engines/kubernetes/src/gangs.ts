import type { AttemptKey } from "@muster/engine";
import * as names from "./names.ts";
import type { Worker } from "./worker.ts";

/*
 * Gangs whose pods wait behind their gates: released together when all are there, their nodes are well, and nothing older of their
 * job lives.
 */

export interface GangHost {
  /** Whether anybody decides on this shard now. */
  active(): boolean;
  members(key: AttemptKey): Worker[];
  /** Older workers of its job that can still confirm their end. */
  olderAlive(key: AttemptKey): Worker[];
  /** Why nothing may be started on a node now. */
  unfit(node: string): string | undefined;
  release(worker: Worker): Promise<void>;
  giveUp(worker: Worker, reason: string): void;
}

interface Gang {
  key: AttemptKey;
  since: number;
  releasing: boolean;
}

export class Gangs {
  private readonly host: GangHost;
  /** How long its nodes may be unwell before it is given up. */
  private readonly patience: number;
  private readonly waiting = new Map<string, Gang>();

  constructor(host: GangHost, patience: number) {
    this.host = host;
    this.patience = patience;
  }

  tick(): void {
    for (const { key } of this.waiting.values()) this.consider(key);
  }

  consider(key: AttemptKey): void {
    const name = names.attemptName(key);
    const members = this.host.members(key);
    const gated = members.filter((worker) => worker.pod?.gated && worker.alive && !worker.pod.deleting);
    if (gated.length === 0) return void this.waiting.delete(name);
    let gang = this.waiting.get(name);
    if (!gang) this.waiting.set(name, (gang = { key: names.attemptOf(key), since: Date.now(), releasing: false }));
    if (gang.releasing || !this.host.active()) return;
    const size = gated[0]?.pod?.gang ?? 1;
    const there = members.filter((worker) => worker.pod && worker.alive && !worker.stop && !worker.pod.deleting && worker.givenUp === undefined);
    if (there.length < size || this.host.olderAlive(key).length > 0) return;
    const bad = there.flatMap((worker) => {
      const why = this.host.unfit(worker.node);
      return why === undefined ? [] : [{ worker, why }];
    });
    if (bad.length === 0) return this.release(gang, gated);
    if (Date.now() - gang.since <= this.patience) return;
    for (const { worker, why } of bad) this.host.giveUp(worker, `node ${worker.node} can't take it: ${why}`);
  }

  private release(gang: Gang, gated: readonly Worker[]): void {
    gang.releasing = true;
    void Promise.all(gated.map((worker) => this.host.release(worker))).finally(() => {
      gang.releasing = false;
    });
  }
}
