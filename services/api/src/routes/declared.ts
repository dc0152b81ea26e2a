import { name } from "@muster/model";
import { appendEvents, lockVersion, transaction, type Client, type Declared, type NewEvent } from "@muster/store";
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { identityOf } from "../access/enforce.ts";
import type { Context } from "../context.ts";
import { Problem } from "../problems/problem.ts";
import { ifMatch, mismatch, setVersion } from "./version.ts";

export const nameParams = z.object({ name });
export const dryRunQuery = z.object({ dry_run: z.stringbool().optional().describe("check and answer, but change nothing") });

export function sameName(path: string, body: string): void {
  if (path !== body)
    throw new Problem("invalid", `name: is ${body}, but the path says ${path}`, { errors: [{ path: "name", message: `expected ${path}, as in the path` }] });
}

/** Ends a transaction that was only tried. */
class DryRun extends Error {
  readonly view: unknown;
  constructor(view: unknown) {
    super("dry run");
    this.view = view;
  }
}

/**
 * Puts a declared thing in one transaction with its event; a dry run is the same transaction, rolled back.
 * @param write does it and gives what it is then, and what its event is about; `version` is undefined where it is new
 */
export async function put<View extends { version: number }>(
  context: Context,
  kind: Declared,
  name: string,
  request: FastifyRequest,
  reply: FastifyReply,
  write: (client: Client, version: number | undefined) => Promise<{ view: View; event: Partial<NewEvent> }>,
): Promise<View> {
  const dryRun = (request.query as { dry_run?: boolean }).dry_run ?? false;
  const asked = ifMatch(request);
  let created = false;
  let view: View;
  try {
    view = await transaction(context.pool, async (client) => {
      const version = await lockVersion(client, kind, name);
      if (asked !== undefined && version !== asked) throw mismatch(kind, version, asked);
      created = version === undefined;
      const { view, event } = await write(client, version);
      if (dryRun) throw new DryRun(view);
      await appendEvents(client, [{ kind: `${kind}.${created ? "created" : "updated"}`, actor: identityOf(request).subject, ...event }]);
      return view;
    });
    context.cluster.forget();
    context.waker.wake();
  } catch (error) {
    if (!(error instanceof DryRun)) throw error;
    view = error.view as View;
  }
  setVersion(reply, view.version);
  reply.code(created && !dryRun ? 201 : 200);
  return view;
}
