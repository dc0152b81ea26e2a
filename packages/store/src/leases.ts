import type { Pool } from "./pool.ts";

export interface Lease {
  name: string;
  epoch: string;
}

/**
 * Takes or renews a lease by the database's clock. From its end on anyone may take it; a holder that comes late and finds that nobody
 * did goes on where it was, as nothing can have been written in its place. Everything it writes is checked against the epoch.
 * @returns the lease, or undefined where someone else holds it
 */
export async function takeLease(pool: Pool, name: string, holder: string, seconds: number, address: string | null = null): Promise<Lease | undefined> {
  const { rows } = await pool.query<{ epoch: string }>({
    name: "take-lease",
    text: `INSERT INTO leases AS l (name, holder, address, expires_at) VALUES ($1, $2, $4, now() + make_interval(secs => $3))
      ON CONFLICT (name) DO UPDATE SET holder = $2, address = $4, expires_at = now() + make_interval(secs => $3),
        epoch = CASE WHEN l.holder = $2 THEN l.epoch ELSE l.epoch + 1 END
      WHERE l.holder = $2 OR l.expires_at <= now()
      RETURNING epoch::text`,
    values: [name, holder, seconds, address],
  });
  return rows[0] && { name, epoch: rows[0].epoch };
}

/** Lets it go, so that the next holder need not wait for its end. */
export async function dropLease(pool: Pool, name: string, holder: string): Promise<void> {
  await pool.query({ name: "drop-lease", text: "UPDATE leases SET expires_at = now() WHERE name = $1 AND holder = $2", values: [name, holder] });
}

/** Statement to run inside a transaction: fails it unless the lease is still ours. Locks it shared until the commit, so that nobody takes it before. */
export async function checkLease(
  client: { query: (config: { name: string; text: string; values: unknown[] }) => Promise<{ rowCount: number | null }> },
  lease: Lease,
  holder: string,
): Promise<void> {
  const { rowCount } = await client.query({
    name: "check-lease",
    text: "SELECT FROM leases WHERE name = $1 AND holder = $2 AND epoch = $3 FOR SHARE",
    values: [lease.name, holder, lease.epoch],
  });
  if (rowCount === 0) throw new LeaseLost(`${lease.name} is no longer ours`);
}

export class LeaseLost extends Error {
  override name = "LeaseLost";
}

/** Who holds a lease now and where it can be asked. */
export async function leaseHolder(pool: Pool, name: string): Promise<{ holder: string; address: string | null } | undefined> {
  const { rows } = await pool.query<{ holder: string; address: string | null }>({
    name: "lease-holder",
    text: "SELECT holder, address FROM leases WHERE name = $1 AND expires_at > now()",
    values: [name],
  });
  return rows[0];
}
