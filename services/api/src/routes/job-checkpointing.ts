import { adviseInterval, planSpares } from "@muster/lifecycle";
import type { JobView } from "@muster/model";
import { readCommitCosts, readSpares, type JobListRow, type Pool } from "@muster/store";

/** Failures are looked up again after so many milliseconds: they change slowly, and 28 days of them are read. */
const KEPT = 60_000;

/** How often nodes of a pool fail in a day, as last measured. */
export class FailureRates {
  readonly #pool: Pool;
  readonly #known = new Map<string, { rate: Promise<number>; at: number }>();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async of(name: string): Promise<number> {
    const known = this.#known.get(name);
    if (known && performance.now() - known.at < KEPT) return known.rate;
    const rate = readSpares(this.#pool, name).then(([row]) => planSpares(row ?? { nodes: 0, nodeDays: 0, failures: 0, repairs: [] }).dailyRate);
    this.#known.set(name, { rate, at: performance.now() });
    // what failed is asked again
    rate.catch(() => this.#known.delete(name));
    return rate;
  }
}

/** How often a job should make a checkpoint; null before what one costs was measured. */
export async function checkpointingOf(pool: Pool, rates: FailureRates, job: JobListRow): Promise<JobView["checkpointing"]> {
  const [place] = job.pools ?? [];
  if (place === undefined || job.nodes < 1) return null;
  const { costs, interval } = await readCommitCosts(pool, job.id);
  if (costs.length === 0) return null;
  const advice = adviseInterval(costs, job.nodes, await rates.of(place));
  return (
    advice && {
      interval_seconds: interval,
      suggested_interval_seconds: Math.round(advice.interval),
      cost_seconds: advice.cost,
      measured: advice.measured,
      mean_time_to_failure_seconds: Math.round(advice.meanTimeToFailure),
    }
  );
}
