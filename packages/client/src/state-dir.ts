import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";

interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  /** Undefined where the platform has no user ids. */
  uid: number | undefined;
  home: string;
}

function surroundings(): Surroundings {
  return { env: process.env, uid: process.getuid?.(), home: homedir() };
}

/**
 * Where an embedded Muster keeps its state: `MUSTER_STATE_DIR`; else `/var/lib/muster` for root; else
 * `$XDG_STATE_HOME/muster`, by default `~/.local/state/muster`.
 */
export function stateDir({ env, uid, home }: Surroundings = surroundings()): string {
  if (env["MUSTER_STATE_DIR"]) return resolve(env["MUSTER_STATE_DIR"]);
  if (uid === 0) return "/var/lib/muster";
  // the XDG specification has relative paths ignored
  const base = env["XDG_STATE_HOME"]?.startsWith("/") ? env["XDG_STATE_HOME"] : join(home, ".local", "state");
  return join(base, "muster");
}

/** The file that tells the `muster` command of the same user where the embedded server is; mode 0600, as it holds a token. */
export function clientDefaultsFile(dir: string = stateDir()): string {
  return join(dir, "client.json");
}

const defaultsSchema = z.object({ server: z.url({ protocol: /^https?$/ }), token: z.string().min(1) });
export type ClientDefaults = z.output<typeof defaultsSchema>;

/**
 * What the embedded server wrote at its first start; undefined where there is no such file or this user may not read it.
 * @throws Error where the file is there but is not what was written
 */
export function readClientDefaults(file: string = clientDefaultsFile()): ClientDefaults | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    content = undefined;
  }
  const parsed = defaultsSchema.safeParse(content);
  // the content is not shown: it may hold a token
  if (!parsed.success) throw new Error(`${file} is damaged: expected {"server": URL, "token": TEXT}; remove it and start the server again`);
  return parsed.data;
}
