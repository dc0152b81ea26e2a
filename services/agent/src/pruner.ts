import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { AttemptKey } from "@muster/engine";
import { removeLogs } from "./logs.ts";
import type { Leftover } from "./steps.ts";

/* Removes what forgotten attempts leave on disk: folders soon, in batches; output after a time. */

const BATCH = 200;
const GATHER_MS = 100;
const PRUNE_EVERY_MS = 30_000;

export class Pruner {
  private readonly logs: string;
  private readonly keepMs: number;
  private readonly log: Logger;
  private readonly drop: (leftovers: Leftover[]) => Promise<void>;
  private leftovers: Leftover[] = [];
  private removing: Promise<void> | undefined;
  private readonly due: { at: number; key: AttemptKey }[] = [];
  private nextPrune = 0;

  constructor(logs: string, keepSeconds: number, drop: (leftovers: Leftover[]) => Promise<void>, log: Logger) {
    this.drop = drop;
    this.logs = logs;
    this.keepMs = keepSeconds * 1000;
    this.log = log;
  }

  forgot(key: AttemptKey): void {
    const now = Date.now();
    this.due.push({ at: now + this.keepMs, key });
    if (now < this.nextPrune) return;
    this.nextPrune = now + PRUNE_EVERY_MS;
    let count = 0;
    for (const { at, key: old } of this.due) {
      if (at > now) break;
      removeLogs(this.logs, old);
      count++;
    }
    this.due.splice(0, count);
  }

  remove(leftover: Leftover): void {
    this.leftovers.push(leftover);
    this.removing ??= this.work().finally(() => {
      this.removing = undefined;
    });
  }

  async idle(): Promise<void> {
    await this.removing;
  }

  private async work(): Promise<void> {
    while (this.leftovers.length > 0) {
      await delay(GATHER_MS);
      await this.drop(this.leftovers.splice(0, BATCH)).catch((error: unknown) => this.log.warn({ error }, "folders of ended attempts could not be removed"));
    }
  }
}
