import type { JobRecord } from "./jobs.ts";
import type { FinishedRun } from "./placement-engine.ts";

/** Finished runs kept per class and accelerator, and of how many of these; the longest unseen go first. */
const KEPT = 64;
const CLASSES = 20_000;

/** Run times of finished jobs by class and accelerator model; what is not known is answered with null. */
export class Learned {
  readonly #runs = new Map<string, number[]>();
  readonly #sorted = new Map<string, readonly number[]>();

  observe(job: JobRecord, at: number): void {
    const { jobClass } = job.input;
    const placed = job.placement?.roles[0];
    if (jobClass === undefined || placed === undefined || job.state !== "running" || at <= job.startedAt) return;
    this.add({ jobClass, accelerator: placed.partition.accelerator, runTime: at - job.startedAt });
  }

  add({ jobClass, accelerator, runTime }: FinishedRun): void {
    for (const key of [jobClass, `${jobClass}\u0000${accelerator}`]) {
      const runs = this.#runs.get(key) ?? [];
      runs.push(runTime);
      if (runs.length > KEPT) runs.shift();
      this.#runs.delete(key);
      this.#runs.set(key, runs);
      this.#sorted.delete(key);
    }
    for (const key of this.#runs.keys()) {
      if (this.#runs.size <= CLASSES) break;
      this.#runs.delete(key);
      this.#sorted.delete(key);
    }
  }

  /** The run time that a share of the class's runs stayed below; null where none has finished. */
  quantile(jobClass: string | undefined, part: number, accelerator?: string): number | null {
    if (jobClass === undefined) return null;
    const key = accelerator === undefined ? jobClass : `${jobClass}\u0000${accelerator}`;
    let sorted = this.#sorted.get(key);
    if (sorted === undefined) {
      const runs = this.#runs.get(key);
      if (runs === undefined) return null;
      sorted = [...runs].sort((a, b) => a - b);
      this.#sorted.set(key, sorted);
    }
    return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!;
  }
}

/** How long a job is likely to run, and its limit; infinite where nothing is known. */
export function durations(job: JobRecord, learned: Learned): { likely: number; longest: number; basis: string } {
  const { expectedDuration, timeLimit, jobClass } = job.input;
  const seen = learned.quantile(jobClass, 0.5);
  const longest = timeLimit ?? Infinity;
  if (expectedDuration !== undefined)
    return { likely: Math.min(expectedDuration, longest), longest: Math.max(longest === Infinity ? expectedDuration : longest, 0), basis: "expected_duration" };
  if (seen !== null) {
    return { likely: Math.min(seen, longest), longest: Math.min(longest, learned.quantile(jobClass, 0.9)!), basis: "finished runs of its class" };
  }
  return { likely: longest, longest, basis: longest === Infinity ? "unknown" : "time_limit" };
}
