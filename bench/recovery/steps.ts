import { readFileSync, writeFileSync, chmodSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

interface Step {
  at: number;
  pid: number;
  step: number;
}

/** What rank 0 notes of each step, in a file: the same for all that is measured. */
export class StepsFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    writeFileSync(path, "");
    chmodSync(path, 0o666);
  }

  all(): Step[] {
    return readFileSync(this.path, "latin1")
      .split("\n")
      .slice(0, -1)
      .map((line) => {
        const [at, pid, step] = line.split(" ").map(Number) as [number, number, number];
        return { at, pid, step };
      });
  }

  /** Resolves once so many steps were made since now. */
  async untilMade(count: number, within = 120_000): Promise<void> {
    const before = this.all().length;
    await until(`${count} steps`, () => this.all().length >= before + count, within);
  }

  /** Steps that were made more than once. */
  madeAgain(): number {
    const all = this.all();
    return all.length - new Set(all.map((one) => one.step)).size;
  }

  /**
   * The first step beyond all that were made before a fault, by another process than had made those.
   * @returns milliseconds from the fault to that; undefined where none came in time
   */
  async firstNew(fault: number, within: number): Promise<number | undefined> {
    const old = this.all().findLast((one) => one.at <= fault)?.pid;
    for (const end = Date.now() + within; Date.now() < end; await delay(20)) {
      const all = this.all();
      const most = all.reduce((most, one) => (one.pid === old ? Math.max(most, one.step) : most), 0);
      const found = all.find((one) => one.pid !== old && one.at > fault && one.step > most);
      if (found) return found.at - fault;
    }
    return undefined;
  }
}

export async function until(what: string, condition: () => boolean | Promise<boolean>, within: number): Promise<void> {
  for (const end = Date.now() + within; !(await condition()); await delay(25)) if (Date.now() > end) throw new Error(`gave up waiting for ${what}`);
}
