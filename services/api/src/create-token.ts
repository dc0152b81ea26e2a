import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { fieldErrors, makeId, tokenBody } from "@muster/model";
import { appendEvents, createPool, insertToken, prepareDatabase, sqlState, transaction } from "@muster/store";
import { tokenHash } from "./access/authenticator.ts";

/*
 * Makes a token in the database itself: the first one of an installation, with which `muster token create` makes all others.
 * The token alone goes to standard output, once.
 */

const USAGE =
  "usage: DATABASE_URL=postgres://... node services/api/src/create-token.ts --subject WHO --role viewer|submitter|operator|admin [--project NAME] [--expires-in 30d]";

function fail(why: string): never {
  process.stderr.write(`${why}\n${USAGE}\n`);
  process.exit(2);
}

function readWords(): { subject?: string; role?: string; project?: string; "expires-in"?: string } {
  try {
    return parseArgs({ options: { subject: { type: "string" }, role: { type: "string" }, project: { type: "string" }, "expires-in": { type: "string" } } })
      .values;
  } catch (error) {
    return fail((error as Error).message);
  }
}

const { subject, role, project, "expires-in": expires } = readWords();
const databaseUrl = process.env["DATABASE_URL"] ?? "";
if (!/^postgres(ql)?:\/\//.test(databaseUrl)) fail("DATABASE_URL is missing or no postgres:// URL");
const body = tokenBody.safeParse({
  subject,
  role,
  ...(project !== undefined && { project }),
  ...(expires !== undefined && { expires_in: expires }),
  description: "made on the server",
});
if (!body.success)
  fail(
    fieldErrors(body.error, tokenBody)
      .map((error) => `--${error.path.replace("_", "-")} ${error.message}`)
      .join("\n"),
  );
const token = `mus_${randomBytes(32).toString("base64url")}`;
try {
  await prepareDatabase(databaseUrl);
  const pool = createPool(databaseUrl, "create-token", { max: 1 });
  try {
    await transaction(pool, async (client) => {
      const { subject, project, role, description, expires_in } = body.data;
      const row = await insertToken(client, {
        id: makeId("tok", Date.now(), randomBytes(10)),
        hash: tokenHash(token),
        subject,
        project,
        role,
        description,
        expiresIn: expires_in ?? null,
      });
      await appendEvents(client, [{ kind: "token.created", actor: "create-token", project, data: { token: row?.id, subject, role } }]);
    });
  } finally {
    await pool.end();
  }
} catch (error) {
  process.stderr.write(
    sqlState(error) === "23503"
      ? `--project: there is no project ${project}\n`
      : `no token was made: ${(error as Error).message || (error as { code?: string }).code}\n`,
  );
  process.exit(1);
}
process.stdout.write(`${token}\n`);
