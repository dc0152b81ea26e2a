import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { makeId } from "@muster/model";
import { findTokens, insertToken, type Pool } from "@muster/store";

/**
 * The token that the `muster` command of this user takes without being asked: made at first start, and again where its file or
 * its row is gone. The file is readable to its owner alone.
 */
export async function localToken(pool: Pool, file: string, server: string): Promise<string> {
  const kept = readToken(file);
  const valid = kept !== undefined && (await findTokens(pool, [hashOf(kept)])).length > 0;
  const token = valid ? kept : `mus_${randomBytes(32).toString("base64url")}`;
  if (!valid) {
    await insertToken(pool, {
      id: makeId("tok", Date.now(), randomBytes(10)),
      hash: hashOf(token),
      subject: "local",
      project: null,
      role: "admin",
      description: "made at first start for the command of this machine",
      expiresIn: null,
    });
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.tmp`, `${JSON.stringify({ server, token })}\n`, { mode: 0o600 });
  renameSync(`${file}.tmp`, file);
  return token;
}

function readToken(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const content = JSON.parse(readFileSync(file, "utf8")) as { token?: unknown };
    return typeof content.token === "string" ? content.token : undefined;
  } catch {
    return undefined;
  }
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
