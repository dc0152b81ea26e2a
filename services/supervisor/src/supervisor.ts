import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { SILENCE_LIMITS, STRAGGLER_LIMITS, type SilenceLimits, type StragglerLimits } from "@muster/lifecycle";
import type { LogStore } from "@muster/logs";
import type { RepairHook } from "@muster/model";
import { createPool, isConnectionError, listenForWakes, Waker, type Pool } from "@muster/store";
import type { Logger } from "pino";
import { drainNodes } from "./drains.ts";
import { forgiveRepaired } from "./forgiving.ts";
import { HangWatch } from "./hang-watch.ts";
import { housekeeping } from "./housekeeping.ts";
import { followIncidents } from "./incident-watch.ts";
import type { Backoff } from "./judge.ts";
import { drainLemons } from "./lemons.ts";
import { Ownership, RENEW_EVERY } from "./ownership.ts";
import { RepairWork } from "./repairs/repair-work.ts";
import { settle } from "./settle.ts";
import type { EngineProvider } from "./shard-keeper.ts";
import { Signal } from "./signal.ts";
import { SideWork, type Check, type SideWorkOptions, type Timers } from "./side-work.ts";
import { SilenceWatch } from "./silence-watch.ts";
import { keepSpares, reclaimSpares } from "./spares.ts";
import { watchStragglers } from "./straggler-watch.ts";

const POLL = 1000;
const STRAGGLERS_EVERY = 5000;
const SPARES_EVERY = 2000;
/** Milliseconds; both are shortened with the limits of silence. */
const UNREACHABLE_AFTER = 5000;
const BEAT_EVERY = 2000;

export interface SupervisorOptions {
  databaseUrl: string;
  logger: Logger;
  logs: LogStore;
  /** By the name of the engine. */
  engines: Readonly<Record<string, EngineProvider>>;
  /** Where workers reach the API. */
  apiUrl: string;
  /** When nodes that aren't heard of are suspect and lost, where the cluster's settings don't say. */
  silence?: Partial<SilenceLimits>;
  /** What is done about nodes that are out of service. */
  repairHooks?: readonly RepairHook[];
  /** When a rank is slow. */
  straggler?: Partial<StragglerLimits>;
}

/** What a supervisor stands on beside its options: its store, who wakes it, and its timers. */
export interface SupervisorStore {
  pool: Pool;
  listen: (onWake: () => void) => { close(): Promise<void> };
  startSideWork: (work: Omit<SideWorkOptions, "databaseUrl">) => Promise<Timers>;
}

export interface Supervisor {
  readonly id: string;
  readonly shards: string[];
  close(): Promise<void>;
}

/** Starts a supervisor. Several may run on one database; each shard is kept by one of them at a time. */
export function createSupervisor({ databaseUrl, repairHooks = [], ...options }: SupervisorOptions): Promise<Supervisor> {
  return supervise(options, {
    pool: createPool(databaseUrl, "supervisor", { max: 12, genericPlans: true }),
    listen: (onWake) => listenForWakes(databaseUrl, onWake),
    startSideWork: async (work) => {
      const sideWork = await SideWork.start({ databaseUrl, ...work });
      if (repairHooks.length === 0) return sideWork;
      const repairs = await RepairWork.start({ databaseUrl, hooks: repairHooks, ...work });
      return {
        backoff: (job, seconds) => sideWork.backoff(job, seconds),
        close: async () => {
          await repairs.close();
          await sideWork.close();
        },
      };
    },
  });
}

/** The same on a store that is given: it ends the pool when it is closed. */
export async function supervise(
  options: Omit<SupervisorOptions, "databaseUrl" | "repairHooks">,
  { pool, listen, startSideWork }: SupervisorStore,
): Promise<Supervisor> {
  const { logger, logs, engines, apiUrl } = options;
  const id = `${hostname()}-${process.pid}-${randomBytes(3).toString("hex")}`;
  const waker = new Waker(pool);
  const limits = { ...SILENCE_LIMITS, ...options.silence };
  const straggler = { ...STRAGGLER_LIMITS, ...options.straggler };
  // the timer alone: the time itself is in the store, and the scheduler looks at its own clock as well
  const onBackoff = ({ job, seconds }: Backoff): void => void sideWork.backoff(job, seconds);
  const died = new Signal();
  const ownership = new Ownership({
    pool,
    logger,
    logs,
    waker,
    holder: id,
    apiUrl,
    engines,
    onBackoff,
    onDeath: () => died.set(),
    unreachableAfter: Math.min(UNREACHABLE_AFTER, limits.suspect / 2),
    beatEvery: Math.min(BEAT_EVERY, limits.suspect / 5),
  });
  const silence = new SilenceWatch({ pool, logger, holder: id, limits });
  const hangs = new HangWatch({ pool, logger, holder: id, silentAfter: 2.5 * Math.min(BEAT_EVERY, limits.suspect / 5) });
  const woken = new Signal();
  // what jobs that hold their nodes wait for may have come while nobody listened
  let wasWoken = true;
  let lookedAt = 0;
  const abort = new AbortController();
  const checks: Check[] = [
    {
      name: "drains",
      every: 2000,
      run: async () => {
        if (await drainNodes(pool)) waker.wake();
      },
    },
    {
      name: "spares",
      every: SPARES_EVERY,
      run: async () => {
        if (await keepSpares(pool)) waker.wake();
        if (await reclaimSpares(pool)) waker.wake();
      },
    },
    {
      name: "lemons",
      every: 60_000,
      run: async () => {
        if (await drainLemons(pool)) waker.wake();
      },
    },
    {
      name: "forgiving",
      every: 10_000,
      run: async () => {
        if (await forgiveRepaired(pool)) waker.wake();
      },
    },
    ...housekeeping(pool, logs),
  ];
  const sideWork = await startSideWork({ pool, waker, logger, checks });
  const listener = listen(() => {
    woken.set();
    ownership.wakeAll();
  });

  const repeat = async (name: string, round: () => Promise<number>, pause: () => Promise<unknown>): Promise<void> => {
    while (!abort.signal.aborted) {
      let again = false;
      try {
        again = (await round()) > 0;
      } catch (error) {
        if (!abort.signal.aborted)
          logger.error({ err: error }, isConnectionError(error) ? `${name}: database does not answer` : `${name} failed; trying again`);
      }
      if (again) ownership.wakeAll();
      else await pause();
    }
  };
  const pause = (milliseconds: number) => () => delay(milliseconds, undefined, { signal: abort.signal }).catch(() => {});
  const loops = [
    repeat(
      "watching for silence",
      async () => {
        if (await silence.round()) waker.wake();
        return 0;
      },
      () => died.wait(Math.min(POLL, limits.suspect / 5), abort.signal),
    ),
    repeat(
      "watching for hangs",
      async () => {
        if (await hangs.round()) waker.wake();
        return 0;
      },
      pause(Math.min(POLL, limits.suspect / 5)),
    ),
    repeat(
      "watching for stragglers",
      async () => {
        if (await watchStragglers({ pool, logger, holder: id, limits: straggler })) waker.wake();
        return 0;
      },
      pause(Math.min(STRAGGLERS_EVERY, straggler.span / 5)),
    ),
    repeat("following incidents", async () => (await followIncidents(pool, id), 0), pause(POLL)),
    repeat("ownership", async () => (await ownership.round(), 0), pause(RENEW_EVERY)),
    repeat(
      "settling",
      async () => {
        // many changes at once are looked at once
        const holding = wasWoken && performance.now() - lookedAt >= POLL;
        if (holding) [lookedAt, wasWoken] = [performance.now(), false];
        const { changed, backoffs } = await settle(pool, holding);
        for (const backoff of backoffs) onBackoff(backoff);
        if (changed) waker.wake();
        return changed ? 1 : 0;
      },
      async () => {
        if (await woken.wait(POLL, abort.signal)) wasWoken = true;
      },
    ),
  ];

  return {
    id,
    get shards() {
      return ownership.owned;
    },
    async close() {
      abort.abort();
      await Promise.all(loops);
      await listener.close();
      await sideWork.close();
      await ownership.close();
      await waker.close();
      await pool.end();
    },
  };
}
