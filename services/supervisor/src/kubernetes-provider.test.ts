import { Unreachable } from "@muster/engine";
import { ensureCluster, ensureShard } from "@muster/store";
import { testDatabase } from "@muster/store/testing";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { kubernetesProvider, type KubernetesProvider } from "./kubernetes-provider.ts";

let database: Awaited<ReturnType<typeof testDatabase>>;
let provider: KubernetesProvider;

beforeAll(async () => {
  database = await testDatabase();
  await ensureCluster(database.pool);
  await ensureShard(database.pool, "east", "kubernetes");
  provider = kubernetesProvider({ pool: database.pool, logger: pino({ level: "silent" }) });
});
afterAll(async () => {
  await provider.close();
  await database.drop();
});

const connect = async (name: string, config?: object): Promise<string> => {
  if (config) await database.pool.query("UPDATE shards SET config = $2 WHERE name = $1", [name, config]);
  const error = await provider.connect({ name } as Parameters<KubernetesProvider["connect"]>[0]).catch((problem: unknown) => problem);
  expect(error).toBeInstanceOf(Unreachable);
  return (error as Error).message;
};

it.each([
  ["isn't declared", "west", undefined, "shard west is not declared any more"],
  ["has a setting that a later version made", "east", { pools: [{ pool: "h100" }], from_the_future: 1 }, "shard east can't be used: config."],
  ["names a kubeconfig that isn't there", "east", { pools: [{ pool: "h100" }], kubeconfig: "/nowhere" }, "the kubeconfig can't be read: ENOENT"],
  ["is the cluster around it, where there is none", "east", { pools: [{ pool: "h100" }] }, "no kubeconfig is named, and the supervisor runs in no cluster"],
])("says why a shard is unreachable that %s", async (_, name, config, why) => {
  expect(await connect(name, config)).toContain(why);
  expect(provider.ages()).toEqual([]);
});
