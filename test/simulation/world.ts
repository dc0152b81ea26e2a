import { createHash } from "node:crypto";
import { VirtualClock } from "@muster/engine-simulated";
import { random } from "../crash/scenarios/random.ts";
import { runAs, turn } from "./runtime.ts";

/** A service as the simulation sees it: what belongs to it ends with it. */
export class Process {
  readonly name: string;
  alive = true;
  /** Stopped by the machine until then, as by a long pause for garbage or a frozen host. */
  pausedUntil = 0;
  #dies: { in: number; end: () => Promise<void> } | undefined;
  readonly #ends: (() => void)[] = [];

  constructor(name: string) {
    this.name = name;
  }

  onEnd(work: () => void): void {
    this.#ends.push(work);
  }

  /** It dies in the place of a step that is so far ahead. */
  diesAfter(steps: number, end: () => Promise<void>): void {
    this.#dies = { in: steps, end };
  }

  /** @returns what to do where it dies now instead of taking a step */
  takesStep(): (() => Promise<void>) | undefined {
    return this.#dies && this.#dies.in-- <= 0 ? this.#dies.end : undefined;
  }

  end(): void {
    this.alive = false;
    for (const work of this.#ends.splice(0)) work();
  }
}

/** One thing that a process asks of the world outside it: a statement, or a call of an engine. */
interface Step {
  process: Process;
  name: string;
  isPossible: () => boolean;
  run: () => Promise<void>;
}

/** Milliseconds of a quiet cluster after which time may jump: each loop of each service has looked once by then, and found nothing. */
const SETTLED = 1100;
/** A jump takes at most so long, as not everything that falls due is known outside the services. */
const LONGEST_JUMP = 3_600_000;

/**
 * Time, chance, and the order in which things happen. Each step of each process is taken alone, and which is next is drawn. Where
 * nobody has a step to take, time goes on to the next timer; where the cluster is quiet, to the next thing that happens in it:
 * the services' own clocks stand still meanwhile, and the jump is made good by `onJump`.
 */
export class World {
  /** What happens in the cluster: workers, faults, the people who submit. */
  readonly clock: VirtualClock;
  /** What the services wait for, in time that doesn't pass while time jumps. */
  readonly #timers: VirtualClock;
  readonly random: () => number;
  readonly #order: () => number;
  readonly #trace = createHash("sha256");
  #steps: Step[] = [];
  #changedAt = 0;
  #stepsTaken = 0;
  #busyUntil = 0;
  #stopped = false;
  /** When the services have something to do by themselves; milliseconds since 1970. */
  nextDue: () => Promise<number> = async () => Number.POSITIVE_INFINITY;
  /** Called before time jumps from one moment to another. */
  onJump: (from: number, to: number) => Promise<void> = async () => {};
  /** Called after each step. */
  afterStep: () => Promise<void> = async () => {};
  /** Called when the cluster is quiet. */
  onQuiet: () => Promise<void> = async () => {};

  constructor(seed: number, start: number) {
    this.clock = new VirtualClock(start);
    this.#timers = new VirtualClock(start);
    this.random = random(seed ^ 0x5eed);
    this.#order = random(seed ^ 0x0bde);
    this.#changedAt = start;
  }

  now(): number {
    return this.clock.now();
  }

  get stepsTaken(): number {
    return this.#stepsTaken;
  }

  /** Time in which services lived, without what was jumped over. */
  serviceTime(): number {
    return this.#timers.now();
  }

  /** Something happened that services may have to act on. */
  touch(): void {
    this.#changedAt = this.#timers.now();
  }

  /** Time does not jump for so many milliseconds. */
  stayBusy(milliseconds: number): void {
    this.#busyUntil = Math.max(this.#busyUntil, this.#timers.now() + milliseconds);
  }

  note(...words: (string | number | null)[]): void {
    this.#trace.update(words.join(" ")).update("\n");
  }

  /** The same for two runs only where they took the same steps. */
  traceHash(): string {
    return this.#trace.copy().digest("hex").slice(0, 16);
  }

  start(process: Process, work: () => unknown): void {
    runAs(process, work);
  }

  /** A timer of a process: it never comes when the process has ended, and later when it is paused. */
  later(process: Process, milliseconds: number, work: () => void): () => void {
    let callOff = (): void => {};
    const fire = (): void => {
      if (!process.alive) return;
      const paused = process.pausedUntil - this.#timers.now();
      if (paused > 0) callOff = this.#timers.after(paused, fire);
      else runAs(process, work);
    };
    callOff = this.#timers.after(milliseconds, fire);
    return () => callOff();
  }

  pause(process: Process, milliseconds: number): void {
    process.pausedUntil = this.#timers.now() + milliseconds;
    this.#timers.after(milliseconds, () => {});
  }

  /** Takes a step when its turn comes. It never resolves for a process that has ended. */
  step<T>(process: Process, name: string, work: () => Promise<T>, isPossible: () => boolean = () => true): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (!process.alive) return;
      this.#steps.push({
        process,
        name,
        isPossible,
        run: async () => {
          try {
            const result = await work();
            if (process.alive) resolve(result);
          } catch (error) {
            if (process.alive) reject(error);
          }
        },
      });
    });
  }

  forget(process: Process): void {
    this.#steps = this.#steps.filter((step) => step.process !== process);
  }

  stop(): void {
    this.#stopped = true;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Lives until then, or until somebody calls `stop`. */
  async live(until: number): Promise<void> {
    while (!this.#stopped) {
      await turn();
      const step = this.#next();
      if (step) {
        this.#stepsTaken++;
        const dies = step.process.takesStep();
        if (dies) await dies();
        else await step.run();
        await this.afterStep();
      } else if (this.now() >= until) return;
      else await this.#advance(until);
    }
  }

  #next(): Step | undefined {
    const now = this.#timers.now();
    const possible = this.#steps.filter(({ process, isPossible }) => process.pausedUntil <= now && isPossible());
    if (possible.length === 0) return undefined;
    const chosen = possible[Math.floor(this.#order() * possible.length)] as Step;
    this.#steps.splice(this.#steps.indexOf(chosen), 1);
    return chosen;
  }

  async #advance(until: number): Promise<void> {
    const now = this.now();
    let event = Math.min(until, this.clock.next() ?? until, now + LONGEST_JUMP);
    const timer = (this.#timers.next() ?? Number.POSITIVE_INFINITY) - this.#timers.now();
    const quiet = this.#steps.length === 0 && this.#timers.now() - this.#changedAt >= SETTLED && this.#timers.now() >= this.#busyUntil;
    if (quiet) {
      await this.onQuiet();
      // what has been due for long is not acted on now, for whatever reason
      const due = await this.nextDue();
      if (due > now) event = Math.min(event, due + 1);
    }
    if (quiet && event - now > 1000) {
      await this.onJump(now, event);
      // where nothing happens then by itself, something falls due, or may: each service looks once
      if (event < (this.clock.next() ?? Number.POSITIVE_INFINITY)) this.touch();
      this.clock.advance(event - now);
      return;
    }
    const passed = Math.max(0, Math.min(event - now, timer));
    this.clock.advance(passed);
    this.#timers.advance(passed);
  }
}
