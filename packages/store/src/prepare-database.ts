import { createCluster } from "./cluster.ts";
import { migrate } from "./migrate.ts";
import { createPool, transaction } from "./pool.ts";
import { ensurePartitions } from "./retention.ts";

/**
 * Brings an empty database to where Muster can run on it, and an older one up to date. Every service does it when it starts;
 * several may at once. The project and the queue `default` are made with the cluster: who removes them later has them gone.
 * @throws SchemaTooNew, MigrationEdited, or the error of a database that does not answer
 */
export async function prepareDatabase(databaseUrl: string): Promise<void> {
  await migrate(databaseUrl);
  const pool = createPool(databaseUrl, "prepare", { max: 2 });
  try {
    await ensurePartitions(pool, Date.now());
    await transaction(pool, async (client) => {
      if (!(await createCluster(client))) return;
      await client.query("INSERT INTO projects (name, description) VALUES ('default', 'Where jobs go that name no project') ON CONFLICT DO NOTHING");
      await client.query("INSERT INTO queues (name, projects) VALUES ('default', '{*}') ON CONFLICT DO NOTHING");
    });
  } finally {
    await pool.end();
  }
}
