import { WATCHDOG } from "./causes.ts";
import { after } from "./trace.ts";
import type { Fault } from "./trace.ts";
import type { Failure, Policy, Recoverer, Resumption, Setting } from "./job-run.ts";

/** Seconds until a fault is seen, and from then to the start of the next attempt's processes. */
export interface Constants {
  name: string;
  /** A process that ends. */
  exit: number;
  /** A node that falls silent. */
  silent: number;
  /** None has a watch of its own: the framework's watchdog. */
  hang: number;
  again: number;
  /** Knows what failed at once, and waits for what is away instead of trying. */
  foresees?: boolean;
}

/** Slurm's defaults: SlurmdTimeout 300 s; a requeued job may begin again about 2 min later (122 s, measured on 22.05). */
export const REQUEUE: Constants = { name: "requeue only (Slurm --requeue)", exit: 1, silent: 300, hang: WATCHDOG, again: 122 };
/** Kubernetes: 45 s to NotReady and 300 s of toleration; JobSet's Recreate takes about 1 min at thousands of nodes (KEP-262). */
export const RECREATE: Constants = { name: "recreate the gang (JobSet)", exit: 1, silent: 345, hang: WATCHDOG, again: 60 };
/** torchrun: the others see a restart at their next look (5 s); a node is dead after three keep-alives of 5 s. */
export const ELASTIC: Constants = { name: "elastic framework alone (torchrun)", exit: 5, silent: 15, hang: WATCHDOG, again: 0 };
export const ORACLE: Constants = { name: "oracle", exit: 0, silent: 0, hang: 0, again: 0, foresees: true };

/**
 * All of these are given for nothing what they don't have: they know a node that is out when they start again, never give up,
 * and never lose the host of the rendezvous.
 */
export function byConstants(constants: Constants): Policy {
  return { name: constants.name, begin: (setting) => new ConstantRecoverer(setting, constants) };
}

class ConstantRecoverer implements Recoverer {
  readonly #setting: Setting;
  readonly #constants: Constants;

  constructor(setting: Setting, constants: Constants) {
    this.#setting = setting;
    this.#constants = constants;
  }

  recover({ at, seen, fault, broken }: Failure): Resumption {
    const { exit, silent, hang, again, foresees } = this.#constants;
    const resumed = at + { exit, silent, hang }[seen.kind] + again;
    const waited = foresees
      ? Math.max(resumed, after(this.#setting.storageAway, resumed + this.#setting.start + this.#setting.load) - this.#setting.start - this.#setting.load)
      : resumed;
    const resident = foresees && fault?.resident ? [fault.slot] : [];
    return { at: waited, replaced: [...broken.keys(), ...resident] };
  }

  knownOut(): boolean {
    return true;
  }

  started(): void {
    // constants have no state that could be wrong
  }

  figures(): { givenUp: number; invariantsBroken: number; detail: string[] } {
    return { givenUp: 0, invariantsBroken: 0, detail: [] };
  }
}

/** StepFun's repair times (InfiniteHBD trace): log-normal by its median 20.4 h and P90 309 h, cut at its P99 of 81 days. */
export function stepfunRepair(fault: Fault): number {
  return Math.min(81 * 86_400, 3600 * 20.4 * Math.exp((Math.log(309 / 20.4) / 1.2816) * fault.draws[2]));
}
