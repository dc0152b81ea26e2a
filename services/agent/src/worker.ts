import { setTimeout as delay } from "node:timers/promises";
import type { RankExit } from "@muster/engine";
import { markerStep, OutputReader, parseProgressLine, reportedRanks, type Progress } from "@muster/output";
import { commitByStep, commitPath } from "./commits.ts";
import { workerOf } from "./keys.ts";
import type { Ledger, WorkerEntry } from "./ledger.ts";
import { LogWriter, type LogLimits } from "./logs.ts";
import { findByMark, isDead, rankProcesses, readStat, signalPid, workerMark, type RankProcess } from "./procs.ts";
import { readWorkerFile } from "./safe-read.ts";
import type { Exit, Slot } from "./slots.ts";
import type { Spawner, WorkerOrder } from "./spawner.ts";

/*
 * One worker's life in the agent: its process, its output, what is read from it, and its confirmed end. The same for one
 * just started and for one found alive by a new agent, except that the latter's end is told by its exit record alone.
 */

const PROGRESS_INTERVAL_MS = 500;
const FILES_MS = 500;
const REREAD_BYTES = 1 << 20;
const ORPHAN_POLL_MS = 200;
const PENDING_COMMIT_MS = 30_000;
const OUTPUT_REPORT_MS = 500;
const DROP_REPORT_MS = 10_000;
const ERROR_TAIL = 4096;
const PROGRESS_FILE_CHUNK = 65_536;

export interface WorkerContext {
  ledger: Ledger;
  spawner: Spawner;
  logs: string;
  limits: LogLimits;
  /** Milliseconds between reports of step times. */
  stepTimesEvery: number;
  ended: (worker: Worker, clean: boolean) => void;
  trouble: (message: string, error: unknown) => void;
}

export class Worker {
  readonly entry: WorkerEntry;
  readonly slot: Slot;
  private readonly context: WorkerContext;
  private readonly log: LogWriter;
  private readonly output: OutputReader;
  private readonly progressPath: string;
  private finishing = false;
  /** The kill ends the shim too, so there is no record of it. */
  private killed = false;
  private filesLooked = 0;
  private lastProgress = 0;
  private pendingProgress: Progress | undefined;
  private progressOffset = 0;
  private stepTimes = new Map<number, { sum: number; count: number }>();
  private stepTimesReported = 0;
  private markerText: string | undefined;
  private pendingCommits: { step: number; named: string | undefined; end: number; until: number; via: "marker" | "log" }[] = [];
  private dropped = 0;
  private dropReported = 0;
  private sizeReported = 0;
  private sizeReportedAt = 0;
  /** Commits seen since the agent took the worker up. */
  commits = 0;

  constructor(context: WorkerContext, entry: WorkerEntry, slot: Slot, progressPath: string, fresh: boolean) {
    this.context = context;
    this.entry = entry;
    this.slot = slot;
    this.progressPath = progressPath;
    const { record } = entry;
    this.log = new LogWriter(context.logs, record, context.limits, fresh);
    const spec = {
      progress: record.progress,
      watch: record.watch,
      ...(record.checkpoint.reports && record.checkpoint.committed !== undefined && { committed: record.checkpoint.committed }),
    };
    // an earlier agent may have kept lines and died before it reported what they say
    const before = this.log.since(fresh ? this.log.end : entry.parsed, REREAD_BYTES);
    this.output = new OutputReader(
      spec,
      {
        progress: (progress) => this.onProgress(progress),
        commit: (step, named, end) => this.onCommit(step, named, end, "log"),
        matched: (id, line, end) => this.observeMatch(id, line, end),
      },
      before.offset,
      entry.matched,
    );
    this.output.push(before.data);
  }

  /** Has the process started; what becomes of it is observed. */
  start(order: Pick<WorkerOrder, "prepare" | "argv" | "env" | "cwd" | "user" | "wrap">): void {
    const { record } = this.entry;
    this.slot.attach((data) => this.onOutput(data));
    this.context.spawner.start(
      { ...order, id: record.id, mark: workerMark(record), slot: this.slot.name, files: this.slot.files() },
      {
        started: (pid, startTime) => {
          this.context.ledger.observe({ kind: "started", pid, ...workerOf(record) }, { startTime });
        },
        failed: (reason) => this.notStarted(reason),
        // a shim that left no record was killed itself
        exited: (exit) => void this.finish(exit ?? this.slot.readExit(record.id) ?? { code: null, signal: "SIGKILL" }),
        orphaned: () => this.watch(),
      },
    );
  }

  /** Takes up a worker that an earlier agent started. */
  adopt(pids: readonly number[]): void {
    if (this.entry.state === "starting") {
      // the shim leads the worker's session
      const found = pids.map(readStat).filter((one) => !isDead(one));
      const { pid, startTime } = found.find((one) => one?.session === one?.pid) ?? found[0] ?? {};
      if (pid !== undefined)
        this.context.ledger.observe({ kind: "started", pid, ...workerOf(this.entry.record) }, startTime === undefined ? {} : { startTime });
    }
    this.slot.attach((data) => this.onOutput(data));
    this.watch();
  }

  /** Waits for the end of a process that is nobody's child here: its exit record, or nothing left of it. */
  private watch(): void {
    const poll = setInterval(() => {
      let exit = this.slot.readExit(this.entry.record.id);
      if (!exit) {
        if (this.pids().length > 0 || findByMark().has(workerMark(this.entry.record))) return;
        // it may have been written between the two looks
        exit = this.slot.readExit(this.entry.record.id);
      }
      clearInterval(poll);
      const rest = this.slot.takeRest();
      if (rest) this.onOutput(rest);
      void this.finish(exit ?? (this.killed ? { code: null, signal: "SIGKILL" } : undefined));
    }, ORPHAN_POLL_MS);
  }

  /** Living processes of the worker. */
  pids(): number[] {
    const { group } = this.slot;
    if (group.confirms) return group.populated() ? group.pids().filter((pid) => !isDead(readStat(pid))) : [];
    const found = new Set(findByMark().get(workerMark(this.entry.record)) ?? []);
    for (const pid of group.pids()) if (!isDead(readStat(pid))) found.add(pid);
    return [...found];
  }

  shimPid(): number | undefined {
    const { pid, startTime } = this.entry;
    return pid !== undefined && readStat(pid)?.startTime === startTime ? pid : undefined;
  }

  ranks(): RankProcess[] {
    return rankProcesses(this.pids(), this.shimPid());
  }

  /** Signals the ranks; where none is found and `orAll`, everything but the shim, which must write the exit record. Returns how many got it. */
  signal(signal: NodeJS.Signals, orAll: boolean): number {
    const pids = this.pids();
    const shim = this.shimPid();
    const ranks = rankProcesses(pids, shim).map(({ pid }) => pid);
    const whom = ranks.length > 0 ? ranks : orAll ? pids.filter((pid) => pid !== shim) : [];
    return whom.filter((pid) => signalPid(pid, signal)).length;
  }

  /** Kills every process of the worker and resolves when none is left. */
  async killAll(): Promise<void> {
    this.killed = true;
    for (let wait = 1; ; wait = Math.min(wait * 2, 250)) {
      this.slot.group.kill();
      if (!this.slot.group.confirms) for (const pid of this.pids()) signalPid(pid, "SIGKILL");
      else if (!this.slot.group.populated()) return;
      if (!this.slot.group.confirms && this.pids().length === 0) return;
      await delay(wait);
    }
  }

  /** Regular looks: at files that the worker writes, at reports that were held back. */
  tick(now: number): void {
    if (now - this.filesLooked >= FILES_MS) {
      this.filesLooked = now;
      this.readProgressFile();
      this.readMarker();
    }
    if (this.pendingCommits.length > 0) {
      const pending = this.pendingCommits;
      this.pendingCommits = [];
      for (const one of pending) if (one.until > now && !this.tryCommit(one)) this.pendingCommits.push(one);
    }
    if (this.pendingProgress && now - this.lastProgress >= PROGRESS_INTERVAL_MS) this.reportProgress(this.pendingProgress, now);
    if (now - this.stepTimesReported >= this.context.stepTimesEvery) this.reportStepTimes(now);
    this.reportDropped(now, false);
    this.reportSize(now, false);
  }

  /** Lets go without an end: the process was never made. */
  private notStarted(reason: string): void {
    if (this.finishing) return;
    this.finishing = true;
    this.slot.drain();
    this.log.close();
    this.context.ledger.observe({ kind: "refused", code: "start_failed", reason, ...workerOf(this.entry.record) });
    this.context.ended(this, this.slot.group.confirms);
  }

  private onOutput(data: Buffer): void {
    this.log.write(data);
    this.dropped += this.log.takeDropped();
    this.output.push(data);
  }

  private async finish(exit: Exit | undefined): Promise<void> {
    if (this.finishing) return;
    this.finishing = true;
    const { record } = this.entry;
    const oom = exit !== undefined && exit.code !== 0 && this.slot.group.oomKilled();
    // whatever the worker left behind is part of it, and dies with it; how it ended is already known
    if (this.slot.group.confirms ? this.slot.group.populated() : this.pids().length > 0) await this.killAll();
    this.slot.drain();
    this.output.end();
    const now = Date.now();
    this.readProgressFile();
    this.readMarker();
    for (const one of this.pendingCommits) this.tryCommit(one);
    if (this.pendingProgress) this.reportProgress(this.pendingProgress, now);
    this.reportDropped(now, true);
    this.reportSize(now, true);
    this.log.close();
    const key = workerOf(record);
    if (!exit) this.context.ledger.observe({ kind: "lost", reason: "its processes are gone and left no exit record", ...key });
    else {
      const failed = exit.code !== 0;
      const tail = failed ? this.output.tail(ERROR_TAIL).toString("utf8") : "";
      const ranks = this.rankExits(exit);
      this.context.ledger.observe({
        kind: "exited",
        exitCode: exit.code,
        signal: exit.signal,
        oom,
        ...(this.entry.stop && { reason: `stopped (${this.entry.stop.mode})` }),
        ...(ranks.length > 0 && { ranks }),
        ...(tail !== "" && { errorTail: tail }),
        ...key,
      });
    }
    this.context.ended(this, this.slot.group.confirms);
  }

  private rankExits(exit: Exit): RankExit[] {
    const { firstRank, ranks } = this.entry.record;
    if (ranks === 1) return [{ rank: firstRank, exitCode: exit.code, signal: exit.signal }];
    if (exit.code === 0) return Array.from({ length: ranks }, (_, i) => ({ rank: firstRank + i, exitCode: 0, signal: null }));
    return reportedRanks(this.output.tail(16_384).toString("utf8"));
  }

  private observeMatch(id: string, line: string, end: number): void {
    this.context.ledger.observe({ kind: "matched", id, line, ...workerOf(this.entry.record) }, { parsed: end });
  }

  private onProgress({ own, ...progress }: Progress): void {
    const now = Date.now();
    if (own) this.addStepTime(own);
    if (Object.keys(progress).length === 0) return;
    this.pendingProgress = { ...this.pendingProgress, ...progress };
    if (now - this.lastProgress >= PROGRESS_INTERVAL_MS) this.reportProgress(this.pendingProgress, now);
  }

  private reportProgress(progress: Progress, now: number): void {
    this.lastProgress = now;
    this.pendingProgress = undefined;
    this.context.ledger.observe({ kind: "progress", ...progress, ...workerOf(this.entry.record) });
  }

  /** Of ranks that aren't the worker's nothing is taken. */
  private addStepTime({ rank, seconds }: NonNullable<Progress["own"]>): void {
    const { firstRank, ranks } = this.entry.record;
    const of = rank ?? firstRank;
    if (of < firstRank || of >= firstRank + Math.max(1, ranks)) return;
    const known = this.stepTimes.get(of) ?? { sum: 0, count: 0 };
    this.stepTimes.set(of, { sum: known.sum + seconds, count: known.count + 1 });
  }

  private reportStepTimes(now: number): void {
    this.stepTimesReported = now;
    if (this.stepTimes.size === 0) return;
    const ranks = Object.fromEntries([...this.stepTimes].map(([rank, { sum, count }]) => [rank, Number((sum / count).toPrecision(6))]));
    this.stepTimes = new Map();
    this.context.ledger.observe({ kind: "step_times", ranks, ...workerOf(this.entry.record) });
  }

  private readProgressFile(): void {
    const data = readWorkerFile(this.progressPath, this.progressOffset, PROGRESS_FILE_CHUNK);
    if (!data) return;
    const end = data.lastIndexOf(10);
    if (end < 0) {
      // a line longer than a chunk is no progress line
      if (data.length === PROGRESS_FILE_CHUNK) this.progressOffset += data.length;
      return;
    }
    this.progressOffset += end + 1;
    for (const line of data.toString("utf8", 0, end).split("\n")) {
      const progress = parseProgressLine(line);
      if (progress) this.onProgress(progress);
    }
  }

  private readMarker(): void {
    const { marker, reports } = this.entry.record.checkpoint;
    if (marker === undefined || !reports) return;
    const text = readWorkerFile(`${this.entry.record.checkpointDir}/${marker}`, 0, 256)?.toString("utf8").trim();
    if (text === undefined || text === "" || text === this.markerText) return;
    const step = markerStep(text);
    if (step === undefined) return;
    const named = commitPath(this.entry.record.checkpointDir, text) ? text : undefined;
    if (this.tryCommit({ step, named, end: 0, via: "marker" })) this.markerText = text;
  }

  private onCommit(step: number, named: string | undefined, end: number, via: "marker" | "log"): void {
    const commit = { step, named, end, until: Date.now() + PENDING_COMMIT_MS, via };
    if (!this.tryCommit(commit)) this.pendingCommits.push(commit);
  }

  /** Reports a commit whose path is there; false where it isn't yet. */
  private tryCommit(commit: { step: number; named: string | undefined; end: number; via: "marker" | "log" }): boolean {
    const { checkpointDir, checkpoint } = this.entry.record;
    const path = commit.named === undefined ? commitByStep(checkpointDir, commit.step, checkpoint.marker) : commitPath(checkpointDir, commit.named);
    if (path === undefined) return false;
    const generation = this.ranks().reduce((most, rank) => Math.max(most, rank.generation), this.entry.lastCommit?.generation ?? 0);
    const last = this.entry.lastCommit;
    if (last && last.step === commit.step && last.generation === generation && last.path === path) return true;
    this.commits++;
    this.context.ledger.observe(
      { kind: "checkpoint", step: commit.step, path, generation, via: commit.via, ...workerOf(this.entry.record) },
      commit.end > 0 ? { parsed: commit.end } : {},
    );
    return true;
  }

  /** How much output there is, for whoever fetches it. */
  private reportSize(now: number, last: boolean): void {
    if (this.log.end === this.sizeReported || (!last && now - this.sizeReportedAt < OUTPUT_REPORT_MS)) return;
    this.sizeReported = this.log.end;
    this.sizeReportedAt = now;
    this.context.ledger.observe({ kind: "output", size: this.log.end, ...workerOf(this.entry.record) });
  }

  private reportDropped(now: number, last: boolean): void {
    if (this.dropped === 0 || (!last && now - this.dropReported < DROP_REPORT_MS)) return;
    this.context.ledger.observe({ kind: "log_dropped", bytes: this.dropped, reason: "the disk is full, or not writable", ...workerOf(this.entry.record) });
    this.dropReported = now;
    this.dropped = 0;
  }
}
