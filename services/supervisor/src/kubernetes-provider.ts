import { setTimeout as delay } from "node:timers/promises";
import { Unreachable, type Engine } from "@muster/engine";
import { KubernetesEngine, KubernetesShard } from "@muster/engine-kubernetes";
import { fieldErrors, kubernetesConfig } from "@muster/model";
import {
  appendEvents,
  readClusterPools,
  readShardNodes,
  readShards,
  recordDiscovered,
  recordGone,
  transaction,
  welcomeNodes,
  type DiscoveryChange,
  type Pool,
  type ShardRow,
  type Waker,
} from "@muster/store";
import type { Logger } from "pino";
import type { EngineProvider } from "./shard-keeper.ts";

/* Shards that are Kubernetes clusters: connected by what was declared of them, and their nodes recorded as they come and go. */

export interface KubernetesProviderOptions {
  pool: Pool;
  waker?: Pick<Waker, "wake">;
  logger: Logger;
}

export interface KubernetesProvider extends EngineProvider {
  /** Milliseconds since anything was heard, by shard and by what is watched: a metric. */
  ages(): { shard: string; watch: string; milliseconds: number }[];
  close(): Promise<void>;
}

interface Open {
  core: KubernetesShard;
  version: number;
  users: number;
  /** Ends what is left when nobody has used it for a while. */
  idle?: NodeJS.Timeout;
}

const LINGER_MS = 30_000;
const DISCOVER_MS = 500;
const COMPARE_MS = 60_000;
const DECLARED_MS = 5000;
const BATCH = 500;

export function kubernetesProvider({ pool, waker, logger }: KubernetesProviderOptions): KubernetesProvider {
  const open = new Map<string, Open>();

  const end = async (name: string, one: Open): Promise<void> => {
    clearTimeout(one.idle);
    if (open.get(name) === one) open.delete(name);
    await one.core.close();
  };

  const connect = async ({ name }: ShardRow): Promise<Engine> => {
    // as it is declared now: whoever keeps a shard may have read it long ago
    const row = (await readShards(pool)).find((one) => one.name === name);
    if (!row) throw new Unreachable(`shard ${name} is not declared any more`);
    let one = open.get(name);
    if (one && one.version !== row.version) {
      await end(name, one);
      one = undefined;
    }
    if (!one) {
      const config = kubernetesConfig.safeParse(row.config);
      if (!config.success) {
        const [error] = fieldErrors(config.error, kubernetesConfig);
        throw new Unreachable(`shard ${name} can't be used: config.${error?.path ?? ""} ${error?.message ?? "is not valid"}`);
      }
      const vendors = Object.fromEntries((await readClusterPools(pool)).map((each) => [each.name, each.vendor]));
      const core = await KubernetesShard.open({ shard: name, config: config.data, vendors, logger });
      one = { core, version: row.version, users: 0 };
      open.set(name, one);
    }
    const { core } = one;
    const used = one;
    used.users++;
    clearTimeout(used.idle);
    const stop = new AbortController();
    const engine = new KubernetesEngine(core, () => {
      stop.abort();
      if (--used.users === 0) used.idle = setTimeout(() => void end(name, used), LINGER_MS).unref();
    });
    try {
      // what is remembered of a cluster that is away is no answer of it
      await engine.ping();
      // a job is placed on what is recorded, so that comes first
      core.nodes.retell();
      await discover(name, core, true);
    } catch (error) {
      await engine.close();
      throw error;
    }
    void watch(name, used, engine, stop.signal);
    return engine;
  };

  const watch = async (name: string, { core, version }: Open, engine: Engine, signal: AbortSignal): Promise<void> => {
    for (let compared = Date.now(), asked = compared; !signal.aborted; ) {
      await delay(DISCOVER_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        const compare = Date.now() - compared > COMPARE_MS;
        if (compare) core.nodes.retell();
        await discover(name, core, compare);
        if (compare) compared = Date.now();
        if (Date.now() - asked < DECLARED_MS) continue;
        asked = Date.now();
        const row = (await readShards(pool)).find((one) => one.name === name);
        // declared anew: this use ends, and the next one begins with what is declared now
        if (row?.version !== version) await engine.close();
      } catch (error) {
        core.nodes.retell();
        if (!signal.aborted) logger.warn({ shard: name, err: error }, "what the cluster shows of its nodes can't be recorded; trying again");
      }
    }
  };

  /** Records what changed; with `compare`, also what the store has and the cluster doesn't. */
  const discover = async (name: string, core: KubernetesShard, compare: boolean): Promise<void> => {
    const { nodes, gone } = core.nodes.changes();
    const missing = new Set(gone);
    if (compare) {
      const there = new Set(core.nodes.boots().map(({ node }) => node));
      for (const node of await readShardNodes(pool, name)) if (!there.has(node)) missing.add(node);
    }
    let changed = false;
    for (let at = 0; at < nodes.length; at += BATCH) {
      const rows = nodes.slice(at, at + BATCH).map((node) => ({ ...node, unfit: node.unfit ?? null }));
      const changes = await transaction(pool, async (client) => {
        const recorded = await recordDiscovered(client, name, rows);
        await appendEvents(client, recorded.map(eventOf));
        return recorded;
      });
      changed ||= changes.length > 0 || nodes.length > 0;
    }
    await transaction(pool, async (client) => {
      const left = await recordGone(client, name, [...missing]);
      const back = await welcomeNodes(client, name);
      await appendEvents(client, [
        ...left.map((node) => ({ kind: "node.deleted", actor: "kubernetes", node })),
        ...back.map((node) => ({ kind: "node.reachable", actor: "kubernetes", node: node.name, pool: node.pool })),
      ]);
      changed ||= left.length + back.length > 0;
    });
    if (changed) waker?.wake();
  };

  return {
    connect,
    ages: () =>
      [...open].flatMap(([shard, { core }]) => Object.entries(core.ages()).map(([watched, milliseconds]) => ({ shard, watch: watched, milliseconds }))),
    close: async () => {
      await Promise.all([...open].map(([name, one]) => end(name, one)));
    },
  };
}

function eventOf({ name, pool, kind, reason }: DiscoveryChange): { kind: string; actor: string; node: string; pool: string; data: Record<string, unknown> } {
  return { kind: `node.${kind}`, actor: "kubernetes", node: name, pool, data: reason === null ? {} : { reason } };
}
