import { judgeLoss } from "@muster/lifecycle";
import { appendEvents, readLosses, setLossCondition, transaction, type Pool } from "@muster/store";

/** Says of running jobs that their loss is no number, or has jumped. Nothing is done about it. */
export async function watchLosses(pool: Pool): Promise<void> {
  const changed = (await readLosses(pool)).map((row) => ({ ...row, now: judgeLoss(row.losses) })).filter((row) => row.now !== row.condition);
  if (changed.length === 0) return;
  await transaction(pool, async (client) => {
    for (const { job, now } of changed.toSorted((a, b) => (a.job < b.job ? -1 : 1))) await setLossCondition(client, job, now);
    await appendEvents(
      client,
      changed.map(({ job, project, attempt, now, losses }) => ({
        kind: now === null ? "job.loss_usual" : `job.${now}`,
        actor: "supervisor",
        project,
        job,
        attempt,
        data: { losses: losses.slice(0, 9).map(String) },
      })),
    );
  });
}
