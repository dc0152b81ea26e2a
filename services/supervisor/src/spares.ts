import { nextJobPlace, planSpares } from "@muster/lifecycle";
import { appendEvents, holdBack, lockJobs, readLent, readSparePools, readSpares, stopAttempts, transaction, type Pool } from "@muster/store";

const ACTOR = "supervisor";

/** Holds as many nodes of each pool back as its setting says. @returns whether any changed */
export async function keepSpares(pool: Pool): Promise<boolean> {
  let changed = false;
  for (const name of await readSparePools(pool)) {
    const [row] = await readSpares(pool, name);
    if (!row) continue;
    const wanted = row.wanted === "auto" ? planSpares(row).spares : row.wanted;
    changed =
      (await transaction(pool, async (client) => {
        const nodes = await holdBack(client, row.pool, wanted);
        await appendEvents(
          client,
          nodes.map(({ name, spare }) => ({ kind: spare ? "node.held_back" : "node.given_out", actor: ACTOR, node: name, pool: row.pool, data: { wanted } })),
        );
        return nodes.length > 0;
      })) || changed;
  }
  return changed;
}

/** Takes lent spares back for what comes back from a fault and finds no room: their work checkpoints and queues again. */
export async function reclaimSpares(pool: Pool): Promise<boolean> {
  if ((await readLent(pool)).length === 0) return false;
  return transaction(pool, async (client) => {
    const seen = await readLent(client);
    await lockJobs(client, seen);
    const lent = (await readLent(client)).filter(({ job }) => seen.some((one) => one.job === job));
    for (const row of lent) {
      const next = nextJobPlace({ state: row.state, stopTarget: row.stop_target }, "preempted");
      if (!next || next.state === row.state) continue;
      const reason = `its node ${row.node} is a spare, which ${row.by} needs`;
      const { rowCount } = await client.query({
        name: "reclaim-job",
        text: "UPDATE jobs SET state = $2, stop_target = $3, stop_reason = $4, state_since = now(), due_at = NULL, version = version + 1 WHERE id = $1 AND state = $5",
        values: [row.job, next.state, next.stopTarget, reason, row.state],
      });
      if (rowCount === 0) continue;
      await stopAttempts(client, [{ job: row.job, mode: "stop", grace: row.grace }]);
      await appendEvents(client, [
        {
          kind: "job.preempted",
          actor: ACTOR,
          project: row.project,
          job: row.job,
          attempt: row.attempt,
          node: row.node,
          data: { reason, cause: { kind: "spare", for: row.by } },
        },
      ]);
    }
    return lent.length > 0;
  });
}
