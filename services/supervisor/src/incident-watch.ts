import { recoveryOf } from "@muster/lifecycle";
import { appendEvents, readOpenRecoveries, recordRecoveries, takeLease, transaction, type Pool } from "@muster/store";

const LEASE_SECONDS = 5;

/** Fills in how jobs come back after incidents, and closes those that are over; one supervisor at a time. */
export async function followIncidents(pool: Pool, holder: string): Promise<void> {
  if (!(await takeLease(pool, "incident-watch", holder, LEASE_SECONDS))) return;
  await transaction(pool, async (client) => {
    const records = (await readOpenRecoveries(client)).map(({ times, devices, ...id }) => {
      const { phases, done, held } = recoveryOf(times);
      return { ...id, phases, done, deviceSeconds: held * devices };
    });
    const closed = await recordRecoveries(client, records);
    await appendEvents(
      client,
      closed.map(({ id, kind, project, job, node }) => ({ kind: "incident.closed", actor: "supervisor", project, job, node, data: { incident: id, kind } })),
    );
  });
}
