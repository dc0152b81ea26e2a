import type { Thing } from "../control-plane/api-client.ts";
import { quantity } from "./quantity.ts";

/** Why a kubelet would not take a pod. */
export interface Rejection {
  reason: string;
  message: string;
}

/** What a node has, and which pod holds what: a kubelet checks again what the scheduler saw, and hands out devices by number. */
export class Resources {
  readonly #allocatable: Record<string, number>;
  readonly #held = new Map<string, { amounts: Record<string, number>; devices: Record<string, number[]> }>();

  constructor(allocatable: Record<string, string>) {
    this.#allocatable = Object.fromEntries(Object.entries(allocatable).map(([name, amount]) => [name, quantity(amount)]));
  }

  /** Gives a pod its devices, by resource and index, or says why it can't have them. */
  take(pod: Thing): { devices: Record<string, number[]> } | Rejection {
    const amounts = requests(pod);
    for (const [name, amount] of Object.entries(amounts)) {
      const capacity = this.#allocatable[name] ?? 0;
      const used = [...this.#held.values()].reduce((sum, held) => sum + (held.amounts[name] ?? 0), 0);
      if (used + amount <= capacity) continue;
      if (isDevice(name)) {
        const message = `Allocate failed due to requested number of devices unavailable for ${name}. Requested: ${amount}, Available: ${capacity - used}, which is unexpected`;
        return { reason: "UnexpectedAdmissionError", message: `Pod was rejected: ${message}` };
      }
      return {
        reason: `OutOf${name}`,
        message: `Pod was rejected: Node didn't have enough resource: ${name}, requested: ${amount}, used: ${used}, capacity: ${capacity}`,
      };
    }
    const devices = Object.fromEntries(
      Object.entries(amounts)
        .filter(([name]) => isDevice(name))
        .map(([name, amount]) => [name, this.#free(name).slice(0, amount)]),
    );
    this.#held.set(pod.metadata.uid, { amounts, devices });
    return { devices };
  }

  release(uid: string): void {
    this.#held.delete(uid);
  }

  #free(name: string): number[] {
    const used = new Set([...this.#held.values()].flatMap(({ devices }) => devices[name] ?? []));
    return Array.from({ length: this.#allocatable[name] ?? 0 }, (_, index) => index).filter((index) => !used.has(index));
  }
}

function requests(pod: Thing): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { resources } of pod.spec.containers) {
    for (const [name, amount] of Object.entries({ ...resources?.limits, ...resources?.requests } as Record<string, string>)) {
      sums[name] = (sums[name] ?? 0) + quantity(amount);
    }
  }
  return sums;
}

function isDevice(name: string): boolean {
  return name.includes("/");
}
