import { rendezvousPort } from "@muster/store";

/** Rendezvous ports: another one for every attempt, and none that a live attempt has at the same address. */
export class Ports {
  readonly #used = new Map<string, Set<number>>();

  /** The same attempt gets the same port where that is free. */
  choose(address: string, job: string, attempt: number): number {
    return rendezvousPort(address, job, attempt, this.#used.get(address));
  }

  take(address: string, port: number): void {
    const used = this.#used.get(address) ?? new Set();
    this.#used.set(address, used.add(port));
  }

  give(address: string, port: number): void {
    const used = this.#used.get(address);
    if (used?.delete(port) && used.size === 0) this.#used.delete(address);
  }
}
