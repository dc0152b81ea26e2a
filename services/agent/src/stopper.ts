import { setTimeout as delay } from "node:timers/promises";
import type { AttemptKey, WorkerStop } from "@muster/engine";
import type { Area } from "./area.ts";
import { attemptName, workerName, workerOf } from "./keys.ts";
import { alive, type Ledger, type WorkerEntry } from "./ledger.ts";
import { signalPid } from "./procs.ts";
import { collectStacks } from "./stacks.ts";
import type { Worker } from "./worker.ts";

/*
 * How workers are asked to checkpoint and brought to an end. Graceful: the control file and the checkpoint signal first;
 * after the commit, or half of the grace, SIGTERM to the ranks; at the end of the grace, the kill.
 */

const INSPECT_MS = 4000;

interface Stopping {
  worker: Worker;
  commitsBefore: number;
  termAt: number;
  killAt: number;
  termed: boolean;
  killing: boolean;
}

export class Stopper {
  private readonly ledger: Ledger;
  private readonly area: Area;
  private readonly running: (name: string) => Worker | undefined;
  private readonly runningOf: (key: AttemptKey) => Worker[];
  private readonly stopping = new Map<string, Stopping>();

  constructor(ledger: Ledger, area: Area, running: (name: string) => Worker | undefined, runningOf: (key: AttemptKey) => Worker[]) {
    this.ledger = ledger;
    this.area = area;
    this.running = running;
    this.runningOf = runningOf;
  }

  /** Begins to stop. Later commands may shorten the grace or turn it into a kill; a worker never started can't start any more. */
  stop(stops: WorkerStop[]): void {
    const asked = new Set<string>();
    for (const stop of stops) {
      const entry = this.ledger.workers.get(workerName(stop));
      if (!entry) this.ledger.neverStarted(stop);
      if (!entry || !alive(entry) || !this.keep(entry, stop)) continue;
      const attempt = attemptName(stop);
      if (stop.mode === "graceful" && !asked.has(attempt)) {
        asked.add(attempt);
        this.askCheckpoint(stop);
      }
      const worker = this.running(workerName(stop));
      if (worker) this.resume(worker);
    }
  }

  /** Records a stop if it says more than those before; false where it doesn't. */
  private keep(entry: WorkerEntry, { mode, grace, inspect }: WorkerStop): boolean {
    const now = Date.now();
    const before = entry.stop;
    if (!before) this.ledger.stop(entry, { mode, since: now, grace, ...(inspect && { inspect }) });
    else if (before.mode === "kill") return false;
    else if (mode === "kill") this.ledger.stop(entry, { mode, since: before.since, grace: 0 });
    else {
      const shorter = (now - before.since) / 1000 + grace;
      if (shorter >= before.grace) return false;
      this.ledger.stop(entry, { mode, since: before.since, grace: shorter });
    }
    return true;
  }

  /** Takes up a stop that the ledger knows of, from this agent or an earlier one. */
  resume(worker: Worker): void {
    const { stop, record } = worker.entry;
    if (!stop) return;
    const name = workerName(record);
    if (stop.mode === "kill") {
      this.stopping.delete(name);
      void (stop.inspect ? this.inspect(worker) : Promise.resolve()).then(() => this.killNow(worker));
      return;
    }
    const { checkpoint } = record;
    // a job that has never shown to make checkpoints isn't kept waiting for one
    const checkpoints =
      checkpoint.signal !== undefined ||
      checkpoint.marker !== undefined ||
      checkpoint.committed !== undefined ||
      checkpoint.sealed ||
      worker.entry.lastCommit !== undefined;
    const wait = checkpoints ? (stop.grace * 1000) / 2 : 0;
    const before = this.stopping.get(name);
    this.stopping.set(name, {
      worker,
      commitsBefore: worker.commits,
      termAt: stop.since + wait,
      killAt: stop.since + stop.grace * 1000,
      termed: before?.termed ?? false,
      killing: before?.killing ?? false,
    });
    this.tick(Date.now());
  }

  ended(worker: Worker): void {
    this.stopping.delete(workerName(worker.entry.record));
  }

  /** A commit of the attempt is known to be safe: nothing more to wait for. */
  sawCommit(key: AttemptKey): void {
    const now = Date.now();
    for (const worker of this.runningOf(key)) {
      const stopping = this.stopping.get(workerName(worker.entry.record));
      if (stopping) stopping.termAt = Math.min(stopping.termAt, now);
      else if (!worker.entry.record.checkpoint.sealed) this.ledger.sealed(worker.entry);
    }
  }

  tick(now: number): void {
    for (const stopping of this.stopping.values()) {
      const { worker } = stopping;
      if (worker.commits > stopping.commitsBefore) {
        stopping.commitsBefore = Number.POSITIVE_INFINITY;
        this.sawCommit(worker.entry.record);
      }
      if (!stopping.termed && now >= stopping.termAt) {
        // a process that isn't there yet is told at the next look
        stopping.termed = worker.signal("SIGTERM", true) > 0;
      }
      if (!stopping.killing && now >= stopping.killAt) {
        stopping.killing = true;
        void this.killNow(worker);
      }
    }
  }

  /** Observes what the worker's processes are doing; takes a few seconds at most, and never fails. */
  private async inspect(worker: Worker): Promise<void> {
    const stacks = await Promise.race([collectStacks(worker), delay(INSPECT_MS, [])]).catch(() => []);
    if (stacks.length > 0 && alive(worker.entry)) this.ledger.observe({ kind: "stacks", stacks, ...workerOf(worker.entry.record) });
  }

  /** Kills until the end is recorded: a process may just be on its way up. */
  async killNow(worker: Worker): Promise<void> {
    for (let wait = 5; alive(worker.entry); wait = Math.min(wait * 2, 250)) {
      await worker.killAll();
      await delay(wait);
    }
  }

  /** Ends a worker of an older attempt than one about to start, and resolves when it is recorded. */
  async endOlder(entry: WorkerEntry): Promise<void> {
    while (alive(entry)) {
      if (!entry.stop) this.ledger.stop(entry, { mode: "kill", since: Date.now(), grace: 0 });
      const worker = this.running(workerName(entry.record));
      if (worker) await this.killNow(worker);
      else await delay(10);
    }
  }

  /** Raises the number in the control files of an attempt, and signals its ranks, never their launcher. */
  askCheckpoint(key: AttemptKey): void {
    const workers = this.runningOf(key);
    if (workers.length === 0) return;
    const value = (this.ledger.controls.get(attemptName(key)) ?? 0) + 1;
    this.ledger.control(attemptName(key), value);
    for (const worker of workers) {
      const { record } = worker.entry;
      try {
        this.area.raiseControl({ control: `${this.area.workerDir(record)}/control` }, value, record);
      } catch {
        // the worker removed its own folder: it can't be asked this way
      }
      if (record.checkpoint.signal === undefined) continue;
      for (const { pid } of worker.ranks()) signalPid(pid, record.checkpoint.signal as NodeJS.Signals);
    }
  }
}
