import type { Observation, StopMode, WorkerKey, WorkerStart, WorkerStatus } from "@muster/engine";
import type { Act, Script } from "./script.ts";
import type { Clock } from "./virtual-clock.ts";

type News = Observation extends infer O ? (O extends Observation ? Omit<O, "seq" | "at"> : never) : never;

export interface WorkerHost {
  clock: Clock;
  killTakes: () => number;
  observe: (news: News) => void;
}

const ERROR_TAIL = 4096;

/** One virtual worker: its script, played on the clock. */
export class VirtualWorker {
  readonly key: WorkerKey;
  readonly node: string;
  output = "";
  private readonly host: WorkerHost;
  private readonly start: WorkerStart | undefined;
  private readonly script: Script | undefined;
  private state: WorkerStatus["state"] | "refused";
  private exit: { exitCode: number | null; signal: string | null; oom: boolean } = { exitCode: null, signal: null, oom: false };
  private stopping: { mode: StopMode; killAt: number } | undefined;
  private termed = false;
  private hanging = false;
  private readonly matched = new Set<string>();
  private timers: (() => void)[] = [];
  private callOffKill: (() => void) | undefined;

  /** Without a start: one that was stopped before it came. */
  constructor(host: WorkerHost, key: WorkerKey, start: WorkerStart | undefined, script: Script | undefined) {
    this.host = host;
    this.key = key;
    this.start = start;
    this.script = script;
    this.node = start?.node ?? "";
    this.state = start ? "starting" : "lost";
  }

  get neverStarted(): boolean {
    return this.start === undefined;
  }

  get alive(): boolean {
    return this.state === "starting" || this.state === "running";
  }

  status(): WorkerStatus | undefined {
    if (this.state === "refused") return undefined;
    return { ...this.key, node: this.node, state: this.state, ...this.exit, stopping: this.stopping !== undefined && this.alive };
  }

  begin(): void {
    this.later(this.script?.startsAfter ?? 0, () => {
      if (this.script?.fails !== undefined) {
        this.finish("refused");
        this.host.observe({ kind: "refused", code: "start_failed", reason: this.script.fails, ...this.key });
        return;
      }
      this.state = "running";
      this.host.observe({ kind: "started", handle: `${this.node}/${this.key.worker}`, ...this.key });
      for (const { after, act } of this.script?.acts ?? []) this.later(after, () => this.play(act));
    });
  }

  stop(mode: StopMode, grace: number): void {
    if (!this.alive) return;
    const killAt = mode === "kill" ? this.host.clock.now() : this.host.clock.now() + grace * 1000;
    if (this.stopping && this.stopping.killAt <= killAt) return;
    const first = !this.stopping;
    this.stopping = { mode, killAt };
    this.callOffKill?.();
    this.callOffKill = this.host.clock.after(killAt - this.host.clock.now() + this.host.killTakes(), () => this.end({ exitCode: null, signal: "SIGKILL" }));
    if (mode === "kill" || !first) return;
    if (this.askCheckpoint()) this.later((grace * 1000) / 2, () => this.term());
    else this.term();
  }

  /** Whether the worker will answer with a commit. */
  askCheckpoint(): boolean {
    const checkpoints = this.script?.checkpoints;
    if (this.state !== "running" || !checkpoints || this.hanging) return false;
    this.later(checkpoints.after, () => this.play({ kind: "commit", step: checkpoints.step() }));
    return true;
  }

  sawCommit(): void {
    if (this.stopping?.mode === "graceful") this.term();
  }

  hang(): void {
    this.hanging = true;
  }

  end({ exitCode, signal, oom = false }: { exitCode: number | null; signal: string | null; oom?: boolean }): void {
    if (!this.alive) return;
    this.exit = { exitCode, signal, oom };
    this.finish("exited");
    const rank = this.start?.ranks === 1 ? [{ rank: this.start.firstRank, exitCode, signal }] : [];
    const tail = exitCode === 0 ? "" : this.output.slice(-ERROR_TAIL);
    this.host.observe({
      kind: "exited",
      ...this.exit,
      ...(rank.length > 0 && { ranks: rank }),
      ...(tail !== "" && { errorTail: tail }),
      ...(this.stopping && { reason: `stopped (${this.stopping.mode})` }),
      ...this.key,
    });
  }

  lose(reason: string): void {
    this.finish("lost");
    this.host.observe({ kind: "lost", reason, ...this.key });
  }

  /** Nobody saw how it ended. */
  forgetEnd(): void {
    this.exit = { exitCode: null, signal: null, oom: false };
    this.state = "lost";
  }

  private term(): void {
    if (this.termed || !this.alive) return;
    this.termed = true;
    const after = this.script?.endsOnTerm;
    if (after !== undefined && !this.hanging) this.later(after, () => this.end({ exitCode: null, signal: "SIGTERM" }));
  }

  play(act: Act): void {
    if (this.state !== "running" || this.hanging) return;
    switch (act.kind) {
      case "print":
        return this.print(act.line);
      case "progress":
        this.host.observe({ ...act, ...this.key });
        return;
      case "commit": {
        const { job, incarnation, attempt } = this.key;
        this.host.observe({
          kind: "checkpoint",
          step: act.step,
          path: `/simulated/${job}/attempt-${incarnation}-${attempt}/step-${act.step}`,
          generation: act.generation ?? 0,
          via: "log",
          ...this.key,
        });
        this.sawCommit();
        return;
      }
      case "exit":
        return this.end({ exitCode: act.code, signal: null });
      case "signal":
        return this.end({ exitCode: null, signal: act.signal, oom: act.oom ?? false });
    }
  }

  private print(line: string): void {
    this.output += `${line}\n`;
    for (const { id, pattern } of this.start?.watch ?? []) {
      if (this.matched.has(id) || !new RegExp(pattern).test(line)) continue;
      this.matched.add(id);
      this.host.observe({ kind: "matched", id, line, ...this.key });
    }
  }

  private later(after: number, work: () => void): void {
    this.timers.push(this.host.clock.after(after, work));
  }

  private finish(state: "exited" | "lost" | "refused"): void {
    this.state = state;
    this.callOffKill?.();
    for (const callOff of this.timers) callOff();
    this.timers = [];
  }
}
