import { readFileSync } from "node:fs";
import { MusterClient, clientDefaultsFile, parseServerUrl, readClientDefaults, stateDir } from "@muster/client";
import { UsageError } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { VERSION } from "./version.ts";

export interface ConnectOptions {
  server?: string;
  tokenFile?: string;
}

export interface Target {
  url: string;
  token: string | undefined;
}

/**
 * Which server, and with which token: the flags, then MUSTER_SERVER and MUSTER_TOKEN, then what the embedded server of
 * this user wrote. The embedded server's token goes to that server alone.
 */
export function resolveTarget(options: ConnectOptions, env: Io["env"], defaultsFile: string): Target {
  const named = options.server ?? nonEmpty(env["MUSTER_SERVER"]);
  const token = options.tokenFile !== undefined ? readToken(options.tokenFile) : nonEmpty(env["MUSTER_TOKEN"]);
  if (named !== undefined) checkUrl(named, options.server !== undefined ? "--server" : "MUSTER_SERVER");
  if (named !== undefined && token !== undefined) return { url: named, token };
  const defaults = readDefaults(defaultsFile);
  if (named !== undefined) return { url: named, token: defaults && sameServer(defaults.server, named) ? defaults.token : undefined };
  if (defaults) return { url: defaults.server, token: token ?? defaults.token };
  throw new UsageError("no server is known", {
    hint: `start one on this machine (npm start), or name one with --server URL or MUSTER_SERVER, and its token with --token-file FILE or MUSTER_TOKEN (looked for ${defaultsFile}, too)`,
  });
}

export function connect(options: ConnectOptions, io: Io): MusterClient {
  const env = io.env;
  const dir = stateDir({ env, uid: process.getuid?.(), home: env["HOME"] ?? "/" });
  return new MusterClient({ ...resolveTarget(options, env, clientDefaultsFile(dir)), agent: `muster-cli/${VERSION}` });
}

function readDefaults(file: string): ReturnType<typeof readClientDefaults> {
  try {
    return readClientDefaults(file);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function checkUrl(url: string, source: string): void {
  try {
    parseServerUrl(url);
  } catch (error) {
    throw new UsageError(`${source}: ${(error as Error).message}`);
  }
}

function sameServer(a: string, b: string): boolean {
  return new URL(a).href === new URL(b).href;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function readToken(file: string): string {
  let text: string;
  try {
    text = readFileSync(file === "-" ? 0 : file, "utf8").trim();
  } catch (error) {
    throw new UsageError(`can't read the token from ${file}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`);
  }
  // the content is not shown: it may be a secret
  if (!/^[\u0021-\u007e]+$/.test(text)) throw new UsageError(`${file} holds no token; expected one word of printable characters`);
  return text;
}
