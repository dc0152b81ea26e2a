import { join } from "node:path";
import { AgentEnded, startAgent, type AgentConfigInput } from "@muster/agent";
import { Dead, Unreachable } from "@muster/engine";
import { LocalEngine } from "@muster/engine-local";
import type { Pool, ShardRow } from "@muster/store";
import type { EngineProvider } from "./shard-keeper.ts";

export interface LocalProviderOptions {
  pool: Pool;
  /** Each shard's agent keeps its state below it, in a folder of the shard's name. */
  agentsDir: string;
  /** What all agents here allow: volumes, secrets, roots of checkpoints and sources. */
  agent?: Pick<
    AgentConfigInput,
    "area" | "volumes" | "secrets_dir" | "checkpoint_root" | "checkpoint_roots" | "source_roots" | "step_times_every" | "kernel_log" | "logs"
  >;
}

/** Shards on this machine: an agent each, started when it isn't there, joined when it is. */
export function localProvider({ pool, agentsDir, agent = {} }: LocalProviderOptions): EngineProvider {
  const ensure = async (shard: ShardRow): Promise<string> => {
    const { rows } = await pool.query<{ name: string; vendor: AgentConfigInput["nodes"][number]["vendor"]; count: number }>({
      name: "read-shard-nodes",
      text: "SELECT n.name, p.vendor, n.devices::int AS count FROM nodes n JOIN pools p ON p.name = n.pool WHERE n.shard = $1 ORDER BY n.name",
      values: [shard.name],
    });
    if (rows.length === 0) throw new Unreachable(`shard ${shard.name} has no nodes`);
    try {
      const { socket } = await startAgent({ shard: shard.name, state_dir: join(agentsDir, shard.name), nodes: rows, ...agent });
      return socket;
    } catch (error) {
      if (error instanceof AgentEnded) throw new Dead(error.message, { cause: error });
      // one that is there but doesn't answer keeps its lock, so none can be started beside it
      throw new Unreachable((error as Error).message, { cause: error });
    }
  };
  return {
    connect: async (shard) => new LocalEngine({ shard: shard.name, socket: await ensure(shard) }),
    refresh: async (shard) => {
      await ensure(shard);
    },
  };
}
