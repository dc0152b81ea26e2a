import { createHash } from "node:crypto";

/** Below the ports that Linux gives to outgoing connections (32768 to 60999), one of which may hold any of them, and those of Kubernetes' services (30000 to 32767). */
const FIRST = 20_000;
const COUNT = 10_000;

/** A rendezvous port: another one for every attempt, and none that is in use at the same address. The same attempt gets the same where that is free. */
export function rendezvousPort(address: string, job: string, attempt: number, used: { has(port: number): boolean } | undefined): number {
  const start = createHash("sha1").update(`${job} ${attempt}`).digest().readUInt32BE(0) % COUNT;
  let port = start;
  while (used?.has(FIRST + port)) {
    port = (port + 1) % COUNT;
    if (port === start) throw new Error(`all ${COUNT} rendezvous ports of ${address} are in use`);
  }
  return FIRST + port;
}
