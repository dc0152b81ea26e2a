import { appendEvents, forgiveNodes, lockJobs, readForgiving, transaction, type Pool } from "@muster/store";

/**
 * A node that a job left out may be had again once it is in order: repaired, or proven by other work. Else a job of months would
 * in the end find no node that it hasn't left out. @returns whether any job has one again
 */
export async function forgiveRepaired(pool: Pool): Promise<boolean> {
  if ((await readForgiving(pool)).length === 0) return false;
  return transaction(pool, async (client) => {
    const jobs = await readForgiving(client);
    await lockJobs(client, jobs);
    const forgiven = await forgiveNodes(client, jobs);
    await appendEvents(
      client,
      forgiven.map(({ job, project, nodes }) => ({ kind: "job.nodes_back", actor: "supervisor", project, job, data: { nodes } })),
    );
    return forgiven.length > 0;
  });
}
