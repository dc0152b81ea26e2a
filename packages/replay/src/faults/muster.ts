import {
  HANG_LIMITS,
  HANG_SIGNATURE,
  SILENCE_LIMITS,
  classify,
  decideRestart,
  escalate,
  hangVerdict,
  judgeHang,
  judgeSilence,
  nextJobPlace,
} from "@muster/lifecycle";
import type { Ending, JobEvent, JobPlace, Ledgers, Verdict, WatchedNode } from "@muster/lifecycle";
import { PEERS, WATCHDOG, WATCHDOG_ENDS, throughTorchrun } from "./causes.ts";
import type { Words } from "./causes.ts";
import { Floor } from "./floor.ts";
import type { Whole } from "./floor.ts";
import { Invariants } from "./invariants.ts";
import { after } from "./trace.ts";
import type { Fault } from "./trace.ts";
import type { Failure, Policy, Recoverer, Resumption, Setting } from "./job-run.ts";

/** Seconds. What the services add to what the rules decide; see services/supervisor and services/agent. */
export const SERVICES = {
  /** A rank ends; torchrun ends its other ranks, then itself; the agent tells of it. */
  exitSeen: 1.5,
  /** Between the first death and the judgement of all that ended by themselves. */
  window: 1,
  /** From the order to kill until the last worker of all nodes is known to be dead. */
  fence: 2,
  /** From the end of an attempt until the next is placed and handed to the engines. */
  place: 1,
  beat: 5,
  /** Between two rounds of the watches for silence and for hangs. */
  round: 2,
  /** Between the death of a device and the report of the node's own checker, at most. */
  checker: 10,
};

export interface MusterOptions {
  /** Nodes carry a checker that posts to /v1/nodes/{id}/health what their devices and ports report. */
  checker: boolean;
  /** `recovery.max_restarts` of the job. */
  maxRestarts: number;
  /** Seconds until a person has seen to a job that was given up: found the broken nodes and asked for it again. */
  operator: number;
  /** Seconds that a step takes. */
  step: number;
}

export function muster(options: MusterOptions): Policy {
  return { name: options.checker ? "Muster" : "Muster, no checker", begin: (setting) => new MusterRecoverer(setting, options) };
}

class MusterRecoverer implements Recoverer {
  readonly #setting: Setting;
  readonly #options: MusterOptions;
  readonly #invariants = new Invariants();
  readonly #watched: WatchedNode[];
  readonly #floor: Floor;
  /** How the job comes back, until its gang is whole again. */
  #coming: { backoff: number; through: "ladder" | "queue" } | null = { backoff: 0, through: "queue" };
  #place: JobPlace = { state: "queued", stopTarget: null };
  #attempt = 0;
  #notBefore = 0;
  #ledgers: Ledgers = { user: 0, infrastructure: 0, unknown: 0 };
  #signature: string | null = null;
  #node: string | null = null;
  #steps = 0;
  #givenUp = 0;
  readonly #rules = new Map<string, { times: number; givenUp: number; seen: number }>();

  constructor(setting: Setting, options: MusterOptions) {
    this.#setting = setting;
    this.#options = options;
    this.#floor = new Floor(setting, this.#invariants);
    this.#watched = Array.from({ length: setting.nodes }, (_, slot) => ({
      node: String(slot),
      switch: `leaf-${Math.floor(slot / 32)}`,
      heard: Number.MAX_SAFE_INTEGER,
      listenedSince: 0,
      lost: false,
    }));
  }

  started(at: number): void {
    const before = this.#attempt++;
    this.#invariants.check(this.#attempt === before + 1, "attempts only rise");
    this.#invariants.check(at >= this.#notBefore, "no start before the back-off is over");
    for (let slot = 0; slot < this.#setting.nodes; slot++) this.#invariants.check(this.#floor.inService(slot), "a quarantined node gets no work");
    this.#invariants.check(this.#place.state === "queued", "one attempt lives at a time");
    for (const event of ["opened", "handed_over"] as const) this.#move(event);
  }

  knownOut(fault: Fault, at: number): boolean {
    if (this.#reported(fault, at)) {
      this.#out(fault.slot, "cordon", "a check took it out", at, fault);
      return true;
    }
    if (fault.cause.words.length > 0 || fault.hangs || after(this.#setting.controlAway, at) > at) return false;
    this.#silence([fault], at);
    const { lost } = this.#judgeSilence(at);
    this.#heardAgain([fault]);
    if (lost.length === 0) return false;
    this.#out(fault.slot, "suspected", "lost", at, fault);
    return true;
  }

  whole(at: number, broken: ReadonlyMap<number, Fault>): Whole {
    if (!this.#coming) return { at, moved: new Map() };
    const { backoff, through } = this.#coming;
    this.#coming = null;
    return this.#floor.whole(at, backoff, through, broken);
  }

  recover(failure: Failure): Resumption {
    if (failure.at > failure.workedFrom) {
      this.#move("all_up");
      this.#steps += Math.floor((failure.at - failure.workedFrom) / this.#options.step);
    } else if (failure.at >= failure.startedAt + this.#setting.start) this.#move("all_up");
    this.#invariants.check(
      failure.fault !== null || after(this.#setting.storageAway, failure.at) > failure.at,
      "no attempt ends without a fault, whatever becomes of the control plane",
    );
    const { verdict: first, seen, judged, lost } = this.#find(failure);
    const verdict = escalate(first, this.#node, failure.progressed);
    this.#move("failed_worker");
    const decision = decideRestart({
      verdict,
      ledgers: this.#ledgers,
      maxRestarts: this.#options.maxRestarts,
      progressed: failure.progressed,
      previousSignature: this.#signature,
    });
    this.#invariants.charged(this.#ledgers, decision.ledgers, verdict);
    this.#ledgers = decision.ledgers;
    this.#signature = verdict.signature;
    this.#node = verdict.node;
    const replaced = [...lost];
    if (verdict.action === "exclude_node" && verdict.node !== null) {
      const slot = this.#floor.slotOf(verdict.node);
      if (!lost.includes(slot)) replaced.push(slot);
    }
    const tally = this.#tally(`${failure.fault?.cause.name ?? "storage away"} -> ${verdict.rule}`, seen - failure.at);
    let at = judged + decision.backoff + SERVICES.place;
    this.#coming = { backoff: decision.backoff, through: decision.restart ? "ladder" : "queue" };
    if (decision.restart) {
      this.#move("gang_down");
      this.#notBefore = judged + decision.backoff;
    } else {
      this.#move("given_up");
      this.#invariants.check(verdict.evidence.length > 0, "every end has its evidence");
      this.#givenUp++;
      tally.givenUp++;
      at = judged + this.#options.operator;
      for (const slot of failure.broken.keys()) if (!replaced.includes(slot)) replaced.push(slot);
      this.#move("requeue");
      this.#ledgers = { user: 0, infrastructure: 0, unknown: 0 };
      this.#signature = null;
    }
    for (const slot of replaced) this.#out(slot, "suspected", lost.includes(slot) ? "lost" : "left out", failure.at, failure.broken.get(slot));
    return { at: after(this.#setting.controlAway, at), replaced };
  }

  figures(): { givenUp: number; invariantsBroken: number; detail: string[] } {
    const rules = [...this.#rules]
      .sort((a, b) => b[1].times - a[1].times)
      .map(([what, { times, givenUp, seen }]) => `${what}: ${times}, seen after ${(seen / times).toFixed(1)} s${givenUp > 0 ? `, given up ${givenUp}` : ""}`);
    const ways = [...this.#floor.ways].map(([way, times]) => `${way} ${times}`).join(", ");
    return { givenUp: this.#givenUp, invariantsBroken: this.#invariants.broken, detail: [...this.#invariants.detail(), `started ${ways}`, ...rules] };
  }

  #find(failure: Failure): { verdict: Verdict; seen: number; judged: number; lost: number[] } {
    const { seen: what, at } = failure;
    const up = (time: number): number => after(this.#setting.controlAway, time);
    if (what.kind === "hang") {
      const { seen, evidence } = this.#waitForHang(failure);
      if (seen > at + WATCHDOG) return this.#findExit(failure.fault?.slot ?? 0, WATCHDOG_ENDS, at + WATCHDOG);
      const verdict = hangVerdict(evidence, this.#signature === HANG_SIGNATURE && !failure.progressed);
      return { verdict, seen, judged: up(seen + SERVICES.fence), lost: [] };
    }
    if (what.kind === "silent") {
      const { seen, decided, lost } = this.#waitForSilence(failure);
      const endings = lost.map((slot) => this.#ending(slot, null, "its node is not heard of, so its end can't be confirmed"));
      return { verdict: classify(endings, []), seen, judged: up(Math.max(seen + SERVICES.fence, decided)), lost };
    }
    return this.#findExit(what.slot, what.words, at);
  }

  #findExit(slot: number, words: Words, at: number): { verdict: Verdict; seen: number; judged: number; lost: number[] } {
    const { controlAway, nodes } = this.#setting;
    const seen = after(controlAway, at + SERVICES.exitSeen);
    const endings = [this.#ending(slot, words, null), ...PEERS.map((peer, index) => this.#ending((slot + 1 + index) % nodes, peer, null))];
    return { verdict: classify(endings, []), seen, judged: after(controlAway, seen + SERVICES.window + SERVICES.fence), lost: [] };
  }

  /** Rounds of the watch for silence until a node is lost, then until all that fell silent with it are. */
  #waitForSilence(failure: Failure): { seen: number; decided: number; lost: number[] } {
    const silent = [...failure.broken.values()].filter((fault) => fault.cause.words.length === 0 && !fault.hangs);
    this.#silence(silent, failure.at);
    const lost = new Set<number>();
    let seen = 0;
    let round = failure.at + (silent[0]?.draws[0] ?? 0) * SERVICES.round;
    while (lost.size < silent.length && round < this.#setting.seconds) {
      if (after(this.#setting.controlAway, round) === round) {
        for (const node of this.#judgeSilence(round).lost) {
          lost.add(Number(node));
          seen ||= round;
        }
      }
      round += SERVICES.round;
    }
    this.#heardAgain(silent);
    return { seen: seen || round, decided: round - SERVICES.round, lost: [...lost] };
  }

  #silence(faults: readonly Fault[], at: number): void {
    for (const fault of faults) {
      const node = this.#watched[fault.slot];
      if (node) node.heard = (Math.min(fault.at, at) - fault.draws[1] * SERVICES.beat) * 1000;
    }
  }

  #heardAgain(faults: readonly Fault[]): void {
    for (const fault of faults) {
      const node = this.#watched[fault.slot];
      if (node) node.heard = Number.MAX_SAFE_INTEGER;
    }
  }

  #judgeSilence(at: number): { lost: string[] } {
    return judgeSilence({
      now: at * 1000,
      limits: SILENCE_LIMITS,
      nodes: this.#watched,
      watchingSince: this.#watchingSince(at) * 1000,
      brakedSince: null,
      liftedAt: null,
    });
  }

  /** Seen after the framework's own watchdog: not seen in time. */
  #waitForHang(failure: Failure): { seen: number; evidence: string[] } {
    const { at, workedFrom } = failure;
    const { step } = this.#options;
    const stepped = at >= workedFrom + step;
    const stepAt = stepped ? at - ((at - workedFrom) % step) : null;
    const intervals = Array.from({ length: Math.min(50, this.#steps) }, () => step * 1000);
    let round = at + (failure.fault?.draws[1] ?? 0) * SERVICES.round;
    for (; round <= at + WATCHDOG; round += SERVICES.round) {
      if (after(this.#setting.controlAway, round) > round) continue;
      const decision = judgeHang(
        {
          now: round * 1000,
          upAt: (failure.startedAt + this.#setting.start) * 1000,
          stepAt: stepAt === null ? null : stepAt * 1000,
          step: this.#steps,
          reports: true,
          phase: null,
          intervals,
          hangTimeout: null,
          heardSince: this.#watchingSince(round) * 1000,
          unheard: this.#away(stepAt ?? failure.startedAt + this.#setting.start, round) * 1000,
        },
        HANG_LIMITS,
      );
      if (decision.kind === "hung") return { seen: round, evidence: decision.evidence };
    }
    return { seen: Infinity, evidence: [] };
  }

  /** Seconds between two times in which the control plane was away. */
  #away(from: number, until: number): number {
    return this.#setting.controlAway.reduce((sum, window) => sum + Math.max(0, Math.min(window.until, until) - Math.max(window.from, from)), 0);
  }

  #watchingSince(at: number): number {
    return this.#setting.controlAway.findLast((window) => window.until <= at)?.until ?? 0;
  }

  #ending(slot: number, words: Words | null, lost: string | null): Ending {
    const node = this.#floor.nodeAt(slot);
    const base = { worker: `worker-${slot}`, node, rank: null, oom: false, matched: [], signal: null };
    if (words === null) return { ...base, exitCode: null, lost: true, reason: lost, tail: "" };
    return { ...base, ...throughTorchrun(words, slot * 8 + 3), lost: false, reason: null };
  }

  /** A checker sees devices, ports, disks and memory; what a node that is off would say is not heard. */
  #reported(fault: Fault, at: number): boolean {
    return (
      this.#options.checker &&
      fault.cause.out &&
      fault.cause.name !== "silent data corruption" &&
      (fault.cause.words.length > 0 || fault.hangs) &&
      at >= after(this.#setting.controlAway, fault.at + 1 + fault.draws[0] * (SERVICES.checker - 1))
    );
  }

  #out(slot: number, event: "suspected" | "cordon", why: string, at: number, broken: Fault | undefined): void {
    this.#floor.out(slot, event, why, at, broken);
    this.#coming ??= { backoff: 0, through: "ladder" };
  }

  #move(event: JobEvent): void {
    const next = nextJobPlace(this.#place, event);
    this.#invariants.check(next !== undefined, `a change of the job is legal (${this.#place.state}, ${event})`);
    if (next) this.#place = next;
  }

  #tally(what: string, seen: number): { times: number; givenUp: number; seen: number } {
    const tally = this.#rules.get(what) ?? { times: 0, givenUp: 0, seen: 0 };
    tally.times++;
    tally.seen += seen;
    this.#rules.set(what, tally);
    return tally;
  }
}
