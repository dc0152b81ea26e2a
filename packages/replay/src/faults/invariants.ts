import type { Ledgers, Verdict } from "@muster/lifecycle";

/** Counts what must never be, by its name. */
export class Invariants {
  readonly #broken = new Map<string, number>();

  check(holds: boolean, name: string): void {
    if (!holds) this.#broken.set(name, (this.#broken.get(name) ?? 0) + 1);
  }

  /** Nothing is charged without a cause, at most one ledger and by one, and only that of the verdict's class. */
  charged(before: Ledgers, now: Ledgers, verdict: Verdict): void {
    const risen = (["user", "infrastructure", "unknown"] as const).filter((ledger) => now[ledger] > before[ledger]);
    this.check(risen.length <= 1, "one ledger is charged at a time");
    for (const ledger of risen) {
      this.check(ledger === verdict.class, "the ledger of its class is charged");
      this.check(now[ledger] === before[ledger] + 1, "a failure is charged once");
      this.check(verdict.evidence.length > 0, "nothing is charged without a cause");
    }
  }

  get broken(): number {
    return [...this.#broken.values()].reduce((sum, times) => sum + times, 0);
  }

  detail(): string[] {
    return [...this.#broken].map(([name, times]) => `BROKEN ${times} times: ${name}`);
  }
}
