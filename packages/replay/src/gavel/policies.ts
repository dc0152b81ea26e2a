import { maxMinShares, type Claim, type Shares } from "./max-min.ts";
import type { SharePolicy } from "./rounds.ts";
import { GAVEL_DEVICES, GAVEL_KINDS, type GavelJob } from "./workload.ts";

const CAPACITY: Shares = [GAVEL_DEVICES, GAVEL_DEVICES, GAVEL_DEVICES];
const FASTEST_FIRST = [0, 1, 2];

/** In order of arrival, each on the kind that has room and is fastest for it; the first that finds none blocks the rest. */
export const fifoAware: SharePolicy = {
  kinds: () => FASTEST_FIRST,
  fills: false,
  shares(jobs) {
    const free = [...CAPACITY];
    let blocked = false;
    return jobs.map((job) => {
      const kind = blocked ? -1 : fastest(job, free);
      if (kind < 0) blocked = true;
      else free[kind]! -= job.devices;
      return CAPACITY.map((_, k) => (k === kind ? 1 : 0));
    });
  },
};

function fastest({ devices, speed }: GavelJob, free: readonly number[]): number {
  let best = -1;
  for (const kind of GAVEL_KINDS.keys()) {
    if (free[kind]! >= devices && speed[kind]! > 0 && (best < 0 || speed[kind]! > speed[best]!)) best = kind;
  }
  return best;
}

/** Least attained service, blind to the kinds: everyone is due the same device time; the kinds come in an order drawn for each round. */
export function lasBlind(random: () => number): SharePolicy {
  return {
    fills: true,
    shares: evenShares,
    kinds() {
      const kinds = [...FASTEST_FIRST];
      for (let i = 2; i > 0; i--) {
        const j = Math.floor(random() * (i + 1));
        [kinds[i], kinds[j]] = [kinds[j]!, kinds[i]!];
      }
      return kinds;
    },
  };
}

/** Least attained service, aware of the kinds: everyone is due as many times what even shares would do for it. */
export const lasAware: SharePolicy = {
  fills: true,
  kinds: () => FASTEST_FIRST,
  shares(jobs) {
    const even = evenShares(jobs);
    return alike(
      jobs,
      (job) => `${job.devices} ${job.type}`,
      ({ devices, speed }, i) => {
        const evenly = speed.reduce((sum, v, k) => sum + v * even[i]![k]!, 0);
        return speed.map((v) => (v * devices) / evenly) as Shares;
      },
    );
  },
};

/** What max-min gives where all kinds count alike. */
function evenShares(jobs: readonly GavelJob[]): Shares[] {
  return alike(
    jobs,
    (job) => String(job.devices),
    ({ devices }) => [devices, devices, devices],
  );
}

/** Max-min shares where jobs of one key claim the same. */
function alike(jobs: readonly GavelJob[], keyOf: (job: GavelJob) => string, worthOf: (job: GavelJob, i: number) => Shares): Shares[] {
  const claims = new Map<string, Claim>();
  for (const [i, job] of jobs.entries()) {
    const key = keyOf(job);
    const claim = claims.get(key) ?? { count: 0, worth: worthOf(job, i), devices: job.devices };
    claim.count++;
    claims.set(key, claim);
  }
  const shares = maxMinShares([...claims.values()], CAPACITY);
  const place = new Map([...claims.keys()].map((key, i) => [key, i]));
  return jobs.map((job) => shares[place.get(keyOf(job))!]!);
}
