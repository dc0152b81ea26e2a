import { posix } from "node:path";
import type { RankExit, WorkerKey, WorkerStatus } from "@muster/engine";
import { entryOfStep, markerStep, parseProgressLine, reportedRanks, type Progress } from "@muster/output";
import type { News } from "./feed.ts";
import { LogTail } from "./log-tail.ts";
import type { WorkerNotes } from "./pod.ts";
import type { PodState, PodView, StopNote } from "./pod-state.ts";

/*
 * One worker as the engine sees it: its pod, its output, what is read from it, and its confirmed end. An end is reported when
 * the output that led to it has been read.
 */

export interface WorkerHost {
  note: (news: News) => void;
  /** The worker runs, or has ended and its output is still to be read. */
  follow: (worker: Worker) => void;
}

export interface Stop extends StopNote {
  mode: "graceful" | "kill";
  /** Seconds of grace that its removal was asked with; undefined: not yet. */
  removedWith?: number;
}

type Ended = Extract<PodState, { kind: "ended" }>;

const PROGRESS_INTERVAL_MS = 500;
const OUTPUT_REPORT_MS = 500;
const PENDING_COMMIT_MS = 30_000;
const DEAF_MS = 5000;
const ERROR_TAIL = 4096;
const MAX_ENTRIES = 10_000;
/** Output before the engine's own beginning was looked at by an earlier one. */
const OLD_MS = 2000;

export class Worker {
  readonly key: WorkerKey;
  readonly node: string;
  readonly podName: string;
  state: WorkerStatus["state"] | "refused";
  pod: PodView | undefined;
  stop: Stop | undefined;
  /** Why it is given up before it ran; reported when nothing of it is left. */
  givenUp: string | undefined;
  /** Since when it is in its present step on the way up. */
  stepSince = Date.now();
  /** The boot of its node that it was seen to run in. */
  ranIn: string | undefined;
  /** Since when its pod isn't there any more, though its end isn't confirmed. */
  missingSince: number | undefined;
  /** Commits seen by this engine, and whether one has been sealed. */
  commits = 0;
  tail: LogTail | undefined;
  end: Ended | undefined;
  /** Since when its container runs, and whether its shim has said that it heeds signals. */
  private runsSince = 0;
  private heeds = false;
  private readonly host: WorkerHost;
  private readonly bornAt = Date.now();
  private exit: { exitCode: number | null; signal: string | null; oom: boolean } = { exitCode: null, signal: null, oom: false };
  private step = "";
  private readonly entries = new Map<string, { name: string; folder: boolean }>();
  private pendingCommits: { step: number; named: string | undefined; until: number; via: "marker" | "log" }[] = [];
  private lastCommit: { step: number; path: string } | undefined;
  private pendingProgress: Progress | undefined;
  private lastProgress = 0;
  private sizeReported = 0;
  private sizeReportedAt = 0;
  private readonly said = new Set<string>();

  constructor(host: WorkerHost, key: WorkerKey, node: string, podName: string) {
    this.host = host;
    this.key = key;
    this.node = node;
    this.podName = podName;
    this.state = "starting";
  }

  get alive(): boolean {
    return this.state === "starting" || this.state === "running";
  }

  get notes(): WorkerNotes | undefined {
    return this.pod?.notes;
  }

  /** Whether it has shown to make checkpoints: others aren't kept waiting for one. */
  get checkpoints(): boolean {
    const made = this.notes?.checkpoint;
    return (
      made !== undefined &&
      (made.signal !== undefined || made.marker !== undefined || made.committed !== undefined || made.resumes || this.lastCommit !== undefined)
    );
  }

  /** Whether a signal would be lost: the kernel drops what process 1 has no handler for yet. */
  deaf(now: number): boolean {
    return this.pod?.state.kind === "running" && !this.heeds && now - this.runsSince < DEAF_MS;
  }

  status(): WorkerStatus | undefined {
    if (this.state === "refused") return undefined;
    return {
      ...this.key,
      node: this.node,
      state: this.state,
      ...this.exit,
      stopping: this.alive && (this.stop !== undefined || (this.pod?.deleting ?? false)),
    };
  }

  /** Takes in what its pod is now. */
  see(pod: PodView): void {
    this.pod = pod;
    this.missingSince = undefined;
    if (!this.stop && pod.stop) this.stop = { mode: "graceful", ...pod.stop };
    if (!this.alive || this.end) return;
    const { state } = pod;
    const step = state.kind === "waiting" ? `${state.step} ${state.pulling ? state.problem?.split(":")[0] : ""}` : state.kind;
    if (step !== this.step) this.stepSince = Date.now();
    this.step = step;
    if (state.kind === "waiting" && state.problem !== undefined) this.say(state.problem.split(":")[0] as string, state.problem);
    if (state.kind === "running") {
      if (this.runsSince === 0) this.runsSince = Date.now();
      this.up();
      this.host.follow(this);
    } else if (state.kind === "ended") {
      if (this.givenUp !== undefined) return this.refuse(this.givenUp);
      this.up();
      this.end = state;
      this.host.follow(this);
    } else if (state.kind === "refused") {
      this.refuse(this.givenUp ?? state.reason);
    } else if (state.kind === "lost") {
      if (this.givenUp === undefined) this.lose(state.reason);
      else this.refuse(this.givenUp);
    }
  }

  /** Tells of the cluster's trouble with it, each once. */
  say(reason: string, message: string): void {
    const text = `${reason} ${message.slice(0, 200)}`;
    if (this.said.has(text) || this.said.size > 100) return;
    this.said.add(text);
    this.host.note({ kind: "notice", reason, message: message.slice(0, 1000), ...this.key });
  }

  refuse(reason: string): void {
    if (!this.alive) return;
    this.state = "refused";
    const source = reason.startsWith("source_failed: ");
    this.host.note({
      kind: "refused",
      code: source ? "source_failed" : "start_failed",
      reason: source ? reason.slice("source_failed: ".length) : reason,
      ...this.key,
    });
  }

  lose(reason: string): void {
    if (!this.alive) return;
    this.state = "lost";
    this.host.note({ kind: "lost", reason, ...this.key });
  }

  /** Its output, read from the log's beginning. */
  openTail(): LogTail {
    const { checkpoint, progress, watch } = this.notes as WorkerNotes;
    this.tail ??= new LogTail(
      { progress, watch, ...(checkpoint.reports && checkpoint.committed !== undefined && { committed: checkpoint.committed }) },
      {
        progress: (one) => this.onProgress(one),
        commit: (step, named) => this.onCommit(step, named, "log"),
        matched: (id, line) => this.host.note({ kind: "matched", id, line, ...this.key }),
        told: (verb, rest) => this.onTold(verb, rest),
      },
    );
    return this.tail;
  }

  /** All that there was to read has been read: now its end is known. */
  finish(dropped: string | undefined): void {
    const { end } = this;
    if (!end || !this.alive) return;
    this.tail?.end();
    for (const one of this.pendingCommits.splice(0)) this.tryCommit(one);
    this.reportProgress(Date.now());
    this.reportSize(Date.now(), true);
    if (dropped !== undefined) this.host.note({ kind: "log_dropped", bytes: 0, reason: dropped, ...this.key });
    this.state = "exited";
    this.exit = { exitCode: end.exitCode, signal: end.signal, oom: end.oom };
    const tail = end.exitCode === 0 ? "" : (this.tail?.tail(ERROR_TAIL) ?? "");
    const ranks = this.rankExits(end);
    const reason = end.reason ?? (this.stop && `stopped (${this.stop.mode})`);
    this.host.note({
      kind: "exited",
      ...this.exit,
      ...(reason !== undefined && { reason }),
      ...(ranks.length > 0 && { ranks }),
      ...(tail !== "" && { errorTail: tail }),
      ...this.key,
    });
  }

  tick(now: number): void {
    for (const one of this.pendingCommits.splice(0)) if (one.until > now && !this.tryCommit(one)) this.pendingCommits.push(one);
    if (now - this.lastProgress >= PROGRESS_INTERVAL_MS) this.reportProgress(now);
    this.reportSize(now, false);
  }

  private up(): void {
    if (this.state !== "starting") return;
    this.state = "running";
    this.host.note({ kind: "started", handle: this.podName, ...this.key });
  }

  private rankExits(end: Ended): RankExit[] {
    const { firstRank, ranks } = this.notes as WorkerNotes;
    if (ranks === 1) return [{ rank: firstRank, exitCode: end.exitCode, signal: end.signal }];
    if (end.exitCode === 0) return Array.from({ length: ranks }, (_, i) => ({ rank: firstRank + i, exitCode: 0, signal: null }));
    return reportedRanks(this.tail?.tail(16_384) ?? "");
  }

  private onTold(verb: string, rest: string): void {
    if (verb === "up") this.heeds = true;
    else if (verb === "progress") {
      const progress = parseProgressLine(rest);
      if (progress) this.onProgress(progress);
    } else if (verb === "entry" && this.entries.size < MAX_ENTRIES) {
      const name = rest.replace(/\/$/, "");
      this.entries.set(name, { name, folder: rest.endsWith("/") });
    } else if (verb === "marker" && this.notes?.checkpoint.reports) {
      const step = markerStep(rest);
      if (step !== undefined) this.onCommit(step, this.commitPath(rest) === undefined ? undefined : rest, "marker");
    }
  }

  private onProgress(progress: Progress): void {
    this.pendingProgress = { ...this.pendingProgress, ...progress };
    const now = Date.now();
    const old = this.tail !== undefined && Date.parse(this.tail.lastTime) < this.bornAt - OLD_MS;
    if (!old && now - this.lastProgress >= PROGRESS_INTERVAL_MS) this.reportProgress(now);
  }

  private reportProgress(now: number): void {
    if (!this.pendingProgress) return;
    this.host.note({ kind: "progress", ...this.pendingProgress, ...this.key });
    this.lastProgress = now;
    this.pendingProgress = undefined;
  }

  private reportSize(now: number, last: boolean): void {
    const size = this.tail?.size ?? 0;
    if (size === this.sizeReported || (!last && now - this.sizeReportedAt < OUTPUT_REPORT_MS)) return;
    this.sizeReported = size;
    this.sizeReportedAt = now;
    this.host.note({ kind: "output", size, ...this.key });
  }

  private onCommit(step: number, named: string | undefined, via: "marker" | "log"): void {
    const commit = { step, named, via, until: Date.now() + PENDING_COMMIT_MS };
    if (!this.tryCommit(commit)) this.pendingCommits.push(commit);
  }

  /** Reports a commit whose path is there; false where it isn't yet. */
  private tryCommit({ step, named, via }: { step: number; named: string | undefined; via: "marker" | "log" }): boolean {
    const { dir, marker } = (this.notes as WorkerNotes).checkpoint;
    const found = named === undefined ? entryOfStep([...this.entries.values()], step, marker) : this.commitPath(named);
    if (found === undefined) return false;
    const path = `${dir}/${found}`;
    if (this.lastCommit?.step === step && this.lastCommit.path === path) return true;
    this.lastCommit = { step, path };
    this.commits++;
    this.host.note({ kind: "checkpoint", step, path, generation: 0, via, ...this.key });
    return true;
  }

  /** What was named, below the attempt's folder, if the shim has seen it there. */
  private commitPath(named: string): string | undefined {
    const { dir } = (this.notes as WorkerNotes).checkpoint;
    const below = posix.relative(dir, posix.resolve(dir, named));
    const [first] = below.split("/");
    return below !== "" && first !== undefined && first !== ".." && this.entries.has(first) ? below : undefined;
  }
}
