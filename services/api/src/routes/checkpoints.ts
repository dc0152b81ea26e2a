import { posix } from "node:path";
import { checkpointView, commitBody } from "@muster/model";
import { acceptCheckpoint, appendEvents, findCheckpoint, getCommitPlace, lockJob, transaction, type AttemptIdentity } from "@muster/store";
import { attemptOf } from "../access/enforce.ts";
import type { App, Context } from "../context.ts";
import { notFound, Problem } from "../problems/problem.ts";
import { toCheckpointView } from "../views/job.ts";
import { jobParams } from "./jobs-read.ts";

export function checkpointRoutes(app: App, { pool, waker }: Context): void {
  app.post(
    "/v1/jobs/:id/checkpoints",
    {
      schema: {
        operationId: "commitCheckpoint",
        tags: ["jobs"],
        summary: "Commit a checkpoint, with the token of the attempt that wrote it",
        params: jobParams,
        body: commitBody,
        response: { 200: checkpointView, 201: checkpointView },
      },
    },
    async (request, reply) => {
      const identity = attemptOf(request);
      const { id } = request.params;
      if (identity.job !== id) throw new Problem("forbidden", "The token is of another job");
      const { step, generation } = request.body;
      const place = await getCommitPlace(pool, identity);
      if (!place) throw notFound("job", id);
      const path = checkPath(request.body.path, identity, place.checkpoint_dir);
      const commit = { job: id, incarnation: identity.incarnation, attempt: identity.attempt, generation, step, path };
      const { row, fresh } = await transaction(pool, async (client) => {
        await lockJob(client, id);
        const row = await acceptCheckpoint(client, commit);
        if (row) {
          await appendEvents(client, [
            {
              kind: "checkpoint.accepted",
              actor: `attempt:${identity.attempt}`,
              project: place.project,
              job: id,
              attempt: identity.attempt,
              data: { checkpoint: row.id, step, generation, path, via: "api" },
            },
          ]);
          return { row, fresh: true };
        }
        return { row: await findCheckpoint(client, commit), fresh: false };
      });
      if (!row) throw await refusal(identity, generation);
      if (fresh) waker.wake();
      return reply.code(fresh ? 201 : 200).send(toCheckpointView(row));
    },
  );

  async function refusal(identity: AttemptIdentity, generation: number): Promise<Problem> {
    const place = await getCommitPlace(pool, identity);
    if (place?.current && place.newest_generation !== null && place.newest_generation > generation) {
      return new Problem("older_generation", `Generation ${place.newest_generation} of this attempt has committed; generation ${generation} can't any more`);
    }
    return new Problem("stale_attempt", `Attempt ${identity.attempt} is no longer the job's current one; it can commit nothing`);
  }
}

/**
 * The path as written, without dots: it must lie below the attempt's own folder. What links do to it is checked by the
 * engine, where it is sealed.
 */
function checkPath(given: string, identity: AttemptIdentity, root: string | null): string {
  const own = `${identity.job}/attempt-${identity.incarnation}-${identity.attempt}`;
  const path = posix.normalize(given).replace(/(.)\/+$/, "$1");
  const inside =
    given.startsWith("/") &&
    !given.includes("\0") &&
    !given.split("/").includes("..") &&
    (root === null ? `${path}/`.includes(`/${own}/`) : `${path}/`.startsWith(`${posix.join(root, own)}/`));
  if (!inside)
    throw new Problem("invalid", "path: is not below this attempt's checkpoint folder", {
      errors: [
        { path: "path", message: `expected an absolute path below ${root === null ? `.../${own}` : posix.join(root, own)}, which is $MUSTER_CHECKPOINT_DIR` },
      ],
    });
  return path;
}
