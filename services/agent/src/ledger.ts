import { compareFence, type AttemptKey, type Observation, type WorkerKey, type WorkerStatus } from "@muster/engine";
import { randomBytes } from "node:crypto";
import { attemptName, attemptOf, workerName, workerOf } from "./keys.ts";
import { Journal } from "./journal.ts";

/*
 * What the agent knows, kept in its journal: which workers were started and how they ended, the newest attempt per job,
 * and every observation that the control plane may not have seen yet. An observation is published after it is on disk.
 */

/** What must be known of a worker to find it again after the agent's own death. */
export interface WorkerRecord extends WorkerKey {
  /** Unique per agent state: tells this start's exit record from older ones. */
  id: number;
  node: string;
  project: string;
  slot: string;
  uid: number;
  gid: number;
  checkpointDir: string;
  resumeLink: string;
  checkpoint: { signal?: string; marker?: string; committed?: string; reports: boolean; sealed: boolean };
  progress: { preset: string } | { pattern: string };
  watch: { id: string; pattern: string }[];
  firstRank: number;
  ranks: number;
  mounts: boolean;
}

export interface WorkerEntry {
  record: WorkerRecord;
  state: WorkerStatus["state"] | "refused";
  exitCode: number | null;
  signal: string | null;
  oom: boolean;
  pid?: number;
  startTime?: string;
  stop?: { mode: "graceful" | "kill"; since: number; grace: number; inspect?: boolean };
  /** Bytes of output from which matches are already observed. */
  parsed: number;
  matched: Set<string>;
  lastCommit?: { step: number; path: string; generation: number };
}

interface Fence {
  incarnation: string;
  attempt: number;
  /** All of this attempt is recorded in the store: it starts nothing any more. */
  closed: boolean;
}

interface Entry {
  seq: number;
  json: string;
  attempt: string | undefined;
  gone: boolean;
}

/** An observation without what the ledger adds. */
export type News = Observation extends infer O ? (O extends Observation ? Omit<O, "seq" | "at"> : never) : never;

/** What stands in the ledger for a worker that was stopped before its start came. */
const NEVER: Omit<WorkerRecord, keyof WorkerKey> = {
  id: 0,
  node: "",
  project: "",
  slot: "",
  uid: 0,
  gid: 0,
  checkpointDir: "",
  resumeLink: "",
  checkpoint: { reports: false, sealed: false },
  progress: { preset: "muster" },
  watch: [],
  firstRank: 0,
  ranks: 0,
  mounts: false,
};

const MAX_CLOSED_FENCES = 200_000;
const COMPACT_BYTES = 32 << 20;

export class Ledger {
  epoch = "";
  seq = 0;
  durableSeq = 0;
  lastId = 0;
  incarnation = "0";
  readonly workers = new Map<string, WorkerEntry>();
  readonly controls = new Map<string, number>();
  private readonly fences = new Map<string, Fence>();
  private entries: Entry[] = [];
  private goneCount = 0;
  private readonly lastProgress = new Map<string, Entry>();
  private readonly byAttempt = new Map<string, Set<string>>();
  private readonly attemptsOf = new Map<string, Set<string>>();
  private readonly forgotten = new Set<string>();
  private readonly listeners = new Set<() => void>();
  private journal!: Journal;
  private committing = false;
  private compactAt = COMPACT_BYTES;

  static async open(path: string): Promise<Ledger> {
    const ledger = new Ledger();
    ledger.journal = await Journal.open(path, (line) => ledger.apply(JSON.parse(line) as Line));
    if (ledger.epoch === "") {
      ledger.epoch = randomBytes(9).toString("base64url");
      ledger.journal.add(JSON.stringify({ k: "epoch", epoch: ledger.epoch }));
      await ledger.journal.durable();
    }
    ledger.durableSeq = ledger.seq;
    return ledger;
  }

  onTrouble(listener: (error: Error) => void): void {
    this.journal.onTrouble = listener;
  }

  fence(job: string): Fence | undefined {
    return this.fences.get(job);
  }

  attemptWorkers(key: AttemptKey): WorkerEntry[] {
    return [...(this.byAttempt.get(attemptName(key)) ?? [])].flatMap((name) => this.workers.get(name) ?? []);
  }

  /** Workers of other attempts of the job that have not ended. */
  olderAlive(key: AttemptKey): WorkerEntry[] {
    const older: WorkerEntry[] = [];
    for (const attempt of this.attemptsOf.get(key.job) ?? []) {
      for (const name of this.byAttempt.get(attempt) ?? []) {
        const entry = this.workers.get(name) as WorkerEntry;
        if (alive(entry) && compareFence(entry.record, key) < 0) older.push(entry);
      }
    }
    return older;
  }

  /** Intent to start; call `durable` before the process is made. */
  start(record: WorkerRecord): WorkerEntry {
    this.write({ k: "start", r: record });
    return this.workers.get(workerName(record)) as WorkerEntry;
  }

  stop(entry: WorkerEntry, stop: NonNullable<WorkerEntry["stop"]>): void {
    this.write({ k: "stop", w: workerName(entry.record), s: stop });
  }

  /** A worker that was stopped before this agent heard of its start: it can't start any more. */
  neverStarted(key: WorkerKey): void {
    const fence = this.fences.get(key.job);
    const open = !fence || compareFence(key, fence) > 0 || (compareFence(key, fence) === 0 && !fence.closed);
    if (open) this.write({ k: "never", w: workerOf(key) });
    this.observe({ kind: "lost", reason: "never started", ...workerOf(key) });
  }

  control(attempt: string, value: number): void {
    this.write({ k: "control", a: attempt, v: value });
  }

  sealed(entry: WorkerEntry): void {
    this.write({ k: "sealing", w: workerName(entry.record) });
  }

  /** Records that output before `offset` needs no second reading. */
  parsed(entry: WorkerEntry, offset: number): void {
    entry.parsed = Math.max(entry.parsed, offset);
  }

  /** Keeps and then publishes an observation. `extra` is the agent's own memory that belongs to it. */
  observe(news: News, extra: { startTime?: string; parsed?: number } = {}): void {
    const seq = this.seq + 1;
    const o = JSON.stringify({ seq, at: new Date().toISOString(), ...news });
    this.apply({ k: "obs", x: extra, o: JSON.parse(o) as Observation }, o);
    this.journal.add(`{"k":"obs","x":${JSON.stringify(extra)},"o":${o}}`);
    void this.commit();
  }

  /** Drops what the store has recorded. Returns the attempts whose workers had all ended. */
  forget(attempts: AttemptKey[]): AttemptKey[] {
    const dropped: AttemptKey[] = [];
    for (const key of attempts) {
      if (this.attemptWorkers(key).some(alive)) continue;
      this.write({ k: "forget", a: attemptOf(key) });
      dropped.push(attemptOf(key));
    }
    this.compactIfLarge();
    return dropped;
  }

  /** Resolves when everything until now is on disk. */
  async durable(): Promise<void> {
    const upTo = this.seq;
    await this.journal.durable();
    this.publish(upTo);
  }

  /** Lines of observations after a number, at most `limit`; only those on disk. */
  after(seq: number, limit: number): { lines: string[]; last: number } {
    let low = 0;
    for (let high = this.entries.length; low < high; ) {
      const middle = (low + high) >> 1;
      if ((this.entries[middle] as Entry).seq <= seq) low = middle + 1;
      else high = middle;
    }
    const lines: string[] = [];
    let last = seq;
    for (; low < this.entries.length && lines.length < limit; low++) {
      const entry = this.entries[low] as Entry;
      if (entry.seq > this.durableSeq) break;
      if (!entry.gone) lines.push(entry.json);
      last = entry.seq;
    }
    return { lines, last };
  }

  /** Calls `listener` whenever there are new observations on disk; returns how to stop it. */
  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async close(): Promise<void> {
    await this.durable();
    await this.journal.close();
  }

  private async commit(): Promise<void> {
    if (this.committing) return;
    this.committing = true;
    while (this.durableSeq < this.seq) await this.durable();
    this.committing = false;
  }

  private publish(upTo: number): void {
    if (upTo <= this.durableSeq) return;
    this.durableSeq = upTo;
    for (const listener of this.listeners) listener();
  }

  private write(line: Line): void {
    this.apply(line);
    this.journal.add(JSON.stringify(line));
  }

  private apply(line: Line, json?: string): void {
    switch (line.k) {
      case "epoch":
        this.epoch = line.epoch;
        return;
      case "seq":
        this.seq = line.seq;
        this.lastId = line.id;
        this.incarnation = line.incarnation;
        return;
      case "start":
        return this.applyStart(line.r);
      case "worker": {
        this.applyStart(line.r);
        const { matched, ...rest } = line.e;
        Object.assign(this.workers.get(workerName(line.r)) as WorkerEntry, rest, { matched: new Set(matched) });
        return;
      }
      case "never":
        this.applyStart({ ...NEVER, ...line.w });
        return;
      case "stop": {
        const entry = this.workers.get(line.w);
        if (entry) entry.stop = line.s;
        return;
      }
      case "control":
        this.controls.set(line.a, line.v);
        return;
      case "sealing": {
        const entry = this.workers.get(line.w);
        if (entry) entry.record.checkpoint.sealed = true;
        return;
      }
      case "fence":
        this.raise(line.f.job, line.f);
        return;
      case "forget":
        return this.applyForget(line.a);
      case "obs":
        return this.applyObservation(line.o, line.x, json ?? JSON.stringify(line.o));
    }
  }

  private applyStart(record: WorkerRecord): void {
    const name = workerName(record);
    this.lastId = Math.max(this.lastId, record.id);
    this.workers.set(name, { record, state: "starting", exitCode: null, signal: null, oom: false, parsed: 0, matched: new Set() });
    const attempt = attemptName(record);
    let set = this.byAttempt.get(attempt);
    if (!set) this.byAttempt.set(attempt, (set = new Set()));
    set.add(name);
    const attempts = this.attemptsOf.get(record.job);
    if (attempts) attempts.add(attempt);
    else this.attemptsOf.set(record.job, new Set([attempt]));
    const fence = this.fences.get(record.job);
    if (!fence || compareFence(record, fence) > 0) this.raise(record.job, { incarnation: record.incarnation, attempt: record.attempt, closed: false });
  }

  private raise(job: string, fence: Fence): void {
    // last touched goes last: the oldest closed fences are the first to be dropped
    this.fences.delete(job);
    this.fences.set(job, { incarnation: fence.incarnation, attempt: fence.attempt, closed: fence.closed });
    if (BigInt(fence.incarnation) > BigInt(this.incarnation)) this.incarnation = fence.incarnation;
  }

  private applyForget(key: AttemptKey): void {
    const attempt = attemptName(key);
    for (const name of this.byAttempt.get(attempt) ?? []) {
      this.workers.delete(name);
      for (const kind of ["progress", "output"]) this.lastProgress.delete(`${kind} ${name}`);
    }
    this.byAttempt.delete(attempt);
    const attempts = this.attemptsOf.get(key.job);
    if (attempts?.delete(attempt) && attempts.size === 0) this.attemptsOf.delete(key.job);
    this.controls.delete(attempt);
    const fence = this.fences.get(key.job);
    if (!fence || compareFence(key, fence) >= 0) this.raise(key.job, { incarnation: key.incarnation, attempt: key.attempt, closed: true });
    let drop = this.fences.size - MAX_CLOSED_FENCES;
    if (drop > 0) {
      for (const [job, old] of this.fences) {
        if (drop-- <= 0) break;
        if (old.closed) this.fences.delete(job);
      }
    }
    this.forgotten.add(attempt);
    if (this.forgotten.size >= 512) this.sweep();
  }

  /** Drops the observations of forgotten attempts. One pass for many, as each pass reads them all. */
  private sweep(): void {
    const last = this.entries.at(-1);
    this.entries = this.entries.filter(
      (entry) => (!entry.gone && !(entry.attempt !== undefined && this.forgotten.has(entry.attempt) && entry.seq <= this.durableSeq)) || entry === last,
    );
    this.forgotten.clear();
    this.goneCount = 0;
  }

  private applyObservation(o: Observation, extra: { startTime?: string; parsed?: number }, json: string): void {
    this.seq = Math.max(this.seq, o.seq);
    const attempt = "attempt" in o && o.kind !== "newer_known" ? attemptName(o) : undefined;
    const entry: Entry = { seq: o.seq, json, attempt, gone: false };
    this.entries.push(entry);
    if (!("worker" in o)) return;
    const name = workerName(o);
    if (o.kind === "progress" || o.kind === "output") {
      const name = `${o.kind} ${workerName(o)}`;
      const older = this.lastProgress.get(name);
      if (older) {
        older.gone = true;
        if (++this.goneCount > 4096) this.sweep();
      }
      this.lastProgress.set(name, entry);
    }
    const worker = this.workers.get(name);
    if (!worker) return;
    if (extra.parsed !== undefined) worker.parsed = Math.max(worker.parsed, extra.parsed);
    if (o.kind === "started") {
      worker.state = "running";
      if (o.pid !== undefined) worker.pid = o.pid;
      if (extra.startTime !== undefined) worker.startTime = extra.startTime;
    } else if (o.kind === "exited") Object.assign(worker, { state: "exited", exitCode: o.exitCode, signal: o.signal, oom: o.oom });
    else if (o.kind === "lost") worker.state = "lost";
    else if (o.kind === "refused" && alive(worker)) worker.state = "refused";
    else if (o.kind === "matched") worker.matched.add(o.id);
    else if (o.kind === "checkpoint") worker.lastCommit = { step: o.step, path: o.path, generation: o.generation };
  }

  private compactIfLarge(): void {
    if (this.journal.bytes < this.compactAt) return;
    this.compactAt = Number.POSITIVE_INFINITY;
    let seq = 0;
    const compacted = this.journal.compact(() => {
      this.sweep();
      seq = this.seq;
      return this.state();
    });
    void compacted.finally(() => {
      this.publish(seq);
      this.compactAt = Math.max(COMPACT_BYTES, this.journal.bytes * 2);
    });
  }

  /** The whole state as lines. */
  private state(): string[] {
    const lines: string[] = [
      JSON.stringify({ k: "epoch", epoch: this.epoch }),
      JSON.stringify({ k: "seq", seq: this.seq, id: this.lastId, incarnation: this.incarnation }),
    ];
    for (const [job, fence] of this.fences) lines.push(JSON.stringify({ k: "fence", f: { job, ...fence } }));
    for (const { record, ...rest } of this.workers.values()) lines.push(JSON.stringify({ k: "worker", r: record, e: { ...rest, matched: [...rest.matched] } }));
    for (const [a, v] of this.controls) lines.push(JSON.stringify({ k: "control", a, v }));
    for (const entry of this.entries) if (!entry.gone) lines.push(`{"k":"obs","x":{},"o":${entry.json}}`);
    return lines;
  }
}

type Line =
  | { k: "epoch"; epoch: string }
  | { k: "seq"; seq: number; id: number; incarnation: string }
  | { k: "start"; r: WorkerRecord }
  | { k: "worker"; r: WorkerRecord; e: Omit<WorkerEntry, "record" | "matched"> & { matched: string[] } }
  | { k: "never"; w: WorkerKey }
  | { k: "stop"; w: string; s: NonNullable<WorkerEntry["stop"]> }
  | { k: "control"; a: string; v: number }
  | { k: "sealing"; w: string }
  | { k: "fence"; f: Fence & { job: string } }
  | { k: "forget"; a: AttemptKey }
  | { k: "obs"; x: { startTime?: string; parsed?: number }; o: Observation };

export function alive(entry: WorkerEntry): boolean {
  return entry.state === "starting" || entry.state === "running";
}
