import type { Logger } from "pino";
import type { AttemptKey } from "@muster/engine";
import { removeLogs } from "./logs.ts";
import { run } from "./slots.ts";

/* Removes what forgotten attempts leave on disk: folders at once, in batches; output after a time. */

const BATCH = 200;
const PRUNE_EVERY_MS = 30_000;

export class Pruner {
  private readonly logs: string;
  private readonly keepMs: number;
  private readonly log: Logger;
  private folders: string[] = [];
  private removing: Promise<void> | undefined;
  private readonly due: { at: number; key: AttemptKey }[] = [];
  private nextPrune = 0;

  constructor(logs: string, keepSeconds: number, log: Logger) {
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

  remove(folders: string[]): void {
    this.folders.push(...folders);
    this.removing ??= this.work().finally(() => {
      this.removing = undefined;
    });
  }

  async idle(): Promise<void> {
    await this.removing;
  }

  private async work(): Promise<void> {
    while (this.folders.length > 0) {
      // rm walks by descriptors, so a link planted meanwhile leads it nowhere
      const batch = this.folders.splice(0, BATCH);
      await run("rm", ["-rf", "--", ...batch]).catch((error: unknown) => this.log.warn({ error }, "folders of ended attempts could not be removed"));
    }
  }
}
