import { createHash } from "node:crypto";

const FIRST = 20_000;
const COUNT = 40_000;

/** Rendezvous ports: another one for every attempt, and none that a live attempt has at the same address. */
export class Ports {
  readonly #used = new Map<string, Set<number>>();

  /** The same attempt gets the same port where that is free. */
  choose(address: string, job: string, attempt: number): number {
    const used = this.#used.get(address);
    const start = createHash("sha1").update(`${job} ${attempt}`).digest().readUInt32BE(0) % COUNT;
    let port = start;
    while (used?.has(FIRST + port)) {
      port = (port + 1) % COUNT;
      if (port === start) throw new Error(`all ${COUNT} rendezvous ports of ${address} are in use`);
    }
    return FIRST + port;
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
