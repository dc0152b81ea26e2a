import { isId, type JobView } from "@muster/model";
import { NotFoundError } from "./exit-codes.ts";
import type { Session } from "./session.ts";

/** A job by its id, or the newest of that name in the project at hand (in all that the token may see, where none is named). */
export async function findJob(session: Session, reference: string): Promise<JobView> {
  const { client, project, signal } = session;
  if (isId("job", reference)) return client.jobs.get(reference, { signal });
  const found = await client.jobs.newestByName(reference, project, { signal });
  if (found) return found;
  throw new NotFoundError(`there is no job ${reference}${project === undefined ? "" : ` in project ${project}`}`, "muster job list shows which there are");
}

/** The id alone, without asking for the job where the reference is one already. */
export async function findJobId(session: Session, reference: string): Promise<string> {
  return isId("job", reference) ? reference : (await findJob(session, reference)).id;
}
