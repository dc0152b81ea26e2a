import { ADVISORY_LOCKS } from "@muster/store";
import pg from "pg";

/**
 * Makes sure that one Muster at a time runs over an embedded database: a second one would end the database under the first.
 * @returns how to let go @throws Error where another one runs
 */
export async function claimStateDir(databaseUrl: string, stateDir: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "muster-claim" });
  // the database may go away under us, which others notice
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query<{ claimed: boolean }>("SELECT pg_try_advisory_lock($1) AS claimed", [ADVISORY_LOCKS.stateDir]);
  if (!rows[0]?.claimed) {
    await client.end();
    throw new Error(`Another Muster runs over ${stateDir}; use it, stop it, or name another folder with --state-dir`);
  }
  return () => client.end().catch(() => {});
}
