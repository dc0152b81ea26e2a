import { nextJobPlace } from "@muster/lifecycle";
import { appendEvents, changeAttempts, changeJobs, markFound, stopAttempts, type Client, type Found, type GangRow } from "@muster/store";

const ACTOR = "supervisor";

/** Ends current attempts for something that was found about them, in the caller's transaction, which has locked their gangs. */
export async function endAttempts(client: Client, ended: readonly { gang: GangRow; found: Found; kind: string; condition: string | null }[]): Promise<void> {
  if (ended.length === 0) return;
  await markFound(
    client,
    ended.map(({ gang, found, condition }) => ({ job: gang.job, incarnation: gang.incarnation, attempt: gang.attempt, found, condition })),
  );
  await changeJobs(
    client,
    ended.map(({ gang }) => {
      const next = nextJobPlace({ state: gang.state, stopTarget: gang.stop_target }, "failed_worker");
      if (!next) throw new Error(`job ${gang.job} is ${gang.state}: its attempt can't be ended`);
      return { job: gang.job, ...next, dueIn: null };
    }),
  );
  await changeAttempts(
    client,
    ended.map(({ gang: { job, incarnation, attempt } }) => ({ job, incarnation, attempt, state: "stopping" })),
  );
  await stopAttempts(
    client,
    ended.map(({ gang, found }) => ({ job: gang.job, mode: "kill", grace: 0, inspect: found.rule === "hang" })),
  );
  await appendEvents(
    client,
    ended.flatMap(({ gang: { job, attempt, project, state }, found, kind }) => [
      { kind, actor: ACTOR, project, job, attempt, node: found.node ?? null, data: { evidence: found.evidence } },
      { kind: "job.recovering", actor: ACTOR, project, job, attempt, data: { from: state, rule: found.rule } },
    ]),
  );
}
