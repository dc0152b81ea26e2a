/* What a job's time and steps went into, from its attempts alone. Times in milliseconds by the database's clock. */

export interface AttemptTimes {
  scheduled: number;
  /** When all its workers were up, when its first and its last new step were made, when it was over; null: not (yet). */
  up: number | null;
  firstStepAt: number | null;
  lastStepAt: number | null;
  ended: number | null;
  firstStep: number | null;
  lastStep: number | null;
  /** Devices held, shares counted as parts. */
  devices: number;
  /** What ended it, where it failed; `stopped` where it was asked to. */
  cause: string | null;
}

export interface Accounting {
  /** Productive time over wall time since the first start (effective training time ratio); null before there is any. */
  ettr: number | null;
  /** Steps kept over steps done; null where none was reported. */
  goodput: number | null;
  steps: { done: number; kept: number };
  productive_seconds: number;
  wall_seconds: number;
  /** Device-hours held that brought nothing that was kept, by what caused it; `start` is the first start. */
  wasted_device_hours: Record<string, number>;
}

/**
 * Time with steps is productive as far as its steps were kept, that is, not made again by a later attempt. A job without
 * progress is productive while it is up, unless the attempt failed.
 * @param attempts in order @param until when the job ended, else now
 */
export function accountFor(attempts: readonly AttemptTimes[], until: number): Accounting | null {
  const first = attempts.find((attempt) => attempt.up !== null)?.up;
  if (first === undefined || first === null) return null;
  const reports = attempts.some((attempt) => attempt.firstStep !== null);
  const wasted = new Map<string, number>();
  let productive = 0;
  let done = 0;
  let kept = 0;
  let cause = "start";
  for (const [index, attempt] of attempts.entries()) {
    const end = attempt.ended ?? until;
    const began = attempt.up ?? end;
    // a step that a later attempt made again was lost, whoever made it last
    const again = attempts.slice(index + 1).find((later) => later.firstStep !== null)?.firstStep ?? null;
    const made = attempt.firstStep === null || attempt.lastStep === null ? 0 : Math.max(0, attempt.lastStep - attempt.firstStep + 1);
    const stays = attempt.firstStep === null || again === null ? made : Math.min(made, Math.max(0, again - attempt.firstStep));
    done += made;
    kept += stays;
    const from = reports ? (attempt.firstStepAt ?? end) : began;
    const to = reports ? (attempt.lastStepAt ?? from) : end;
    const share = reports ? (made === 0 ? 0 : stays / made) : attempt.ended !== null && attempt.cause !== null && attempt.cause !== "stopped" ? 0 : 1;
    const good = Math.max(0, to - from) * share;
    productive += good;
    // getting there is charged to what made it necessary, the rest to what ended this attempt
    add(wasted, cause, (Math.min(from, end) - attempt.scheduled) * attempt.devices);
    cause = attempt.cause ?? "stopped";
    if (attempt.ended !== null) add(wasted, cause, (Math.max(0, end - from) - good) * attempt.devices);
  }
  const wall = Math.max(0, until - first);
  return {
    ettr: wall > 0 ? round(Math.min(1, productive / wall)) : null,
    goodput: done > 0 ? round(kept / done) : null,
    steps: { done, kept },
    productive_seconds: round(productive / 1000),
    wall_seconds: round(wall / 1000),
    wasted_device_hours: Object.fromEntries([...wasted].map(([key, deviceMilliseconds]) => [key, round(deviceMilliseconds / 3_600_000)])),
  };
}

/** The sum over many jobs, each with the most devices that it held: large jobs count for more. */
export interface AccountSum {
  jobs: number;
  ettr: number | null;
  goodput: number | null;
  productive_device_hours: number;
  wall_device_hours: number;
  wasted_device_hours: Record<string, number>;
}

export function sumUp(accounts: readonly { account: Accounting; devices: number }[]): AccountSum {
  const wasted = new Map<string, number>();
  let [productive, wall, done, kept] = [0, 0, 0, 0];
  for (const { account, devices } of accounts) {
    // a job without devices counts as one, so that a cluster of processors has figures too
    const weight = devices > 0 ? devices : 1;
    productive += account.productive_seconds * weight;
    wall += account.wall_seconds * weight;
    done += account.steps.done;
    kept += account.steps.kept;
    for (const [cause, hours] of Object.entries(account.wasted_device_hours)) add(wasted, cause, hours);
  }
  return {
    jobs: accounts.length,
    ettr: wall > 0 ? round(Math.min(1, productive / wall)) : null,
    goodput: done > 0 ? round(kept / done) : null,
    productive_device_hours: round(productive / 3600),
    wall_device_hours: round(wall / 3600),
    wasted_device_hours: Object.fromEntries([...wasted].map(([cause, hours]) => [cause, round(hours)])),
  };
}

function add(map: Map<string, number>, key: string, amount: number): void {
  if (amount > 0) map.set(key, (map.get(key) ?? 0) + amount);
}

const round = (value: number): number => Math.round(value * 10_000) / 10_000;
