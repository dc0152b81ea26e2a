import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import type { SourceSpec } from "@muster/model";
import { Problem } from "../problems/problem.ts";

/** Milliseconds that a git server may take to say which commit is meant. */
const TIMEOUT = 15_000;
const COMMIT = /^[0-9a-f]{40}([0-9a-f]{24})?$/;
const PROTOCOLS = new Set(["https", "ssh", "file", "http"]);

export interface SourceOptions {
  /** Protocols that `source.git` may use. */
  protocols: readonly string[];
}

/** The commit that a job's source stands for now; null where it has none. @throws Problem source_unavailable */
export async function resolveSource(source: SourceSpec | undefined, options: SourceOptions): Promise<string | null> {
  if (!source) return null;
  if ("dir" in source) {
    const found = await stat(source.dir).catch(() => undefined);
    if (!found?.isDirectory()) throw unavailable("source.dir", `${source.dir} is no folder on this machine`);
    return null;
  }
  const protocol = protocolOf(source.git);
  if (!protocol || !PROTOCOLS.has(protocol) || !options.protocols.includes(protocol)) {
    throw unavailable("source.git", `expected a URL of ${options.protocols.join(", ")}`);
  }
  if (COMMIT.test(source.ref)) return source.ref;
  const lines = await listRemote(source.git, source.ref, protocol);
  const commit = pick(lines, source.ref);
  if (!commit) throw unavailable("source.ref", `there is no ${source.ref} in ${withoutPassword(source.git)}`);
  return commit;
}

function protocolOf(url: string): string | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase();
  if (scheme) return scheme;
  // git's own shorthand: user@host:path
  return /^[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^:]/.test(url) ? "ssh" : undefined;
}

/** A branch or tag of that name; of an annotated tag, the commit that it points at. */
function pick(lines: readonly (readonly [string, string])[], ref: string): string | undefined {
  for (const name of [`refs/tags/${ref}^{}`, `refs/tags/${ref}`, `refs/heads/${ref}`, ref]) {
    const line = lines.find((one) => one[1] === name);
    if (line) return line[0];
  }
  return undefined;
}

function listRemote(url: string, ref: string, protocol: string): Promise<[string, string][]> {
  return new Promise((resolve, reject) => {
    const env = {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: process.env["HOME"] ?? "/nonexistent",
      LC_ALL: "C",
      GIT_TERMINAL_PROMPT: "0",
      GIT_ASKPASS: "/bin/false",
      SSH_ASKPASS: "/bin/false",
      GIT_SSH_COMMAND: "ssh -oBatchMode=yes -oConnectTimeout=10",
      GIT_ALLOW_PROTOCOL: protocol,
      GIT_CONFIG_NOSYSTEM: "1",
    };
    const words = [
      "-c",
      "credential.helper=",
      "-c",
      "core.askPass=/bin/false",
      "-c",
      "http.followRedirects=false",
      "ls-remote",
      "--quiet",
      "--",
      url,
      ref,
      `refs/tags/${ref}^{}`,
    ];
    execFile("git", words, { env, timeout: TIMEOUT, killSignal: "SIGKILL", maxBuffer: 1 << 20, cwd: "/" }, (error, stdout, stderr) => {
      if (error) {
        const why = error.killed
          ? "the server did not answer in time"
          : (error as NodeJS.ErrnoException).code === "ENOENT"
            ? "git is not installed where the API runs"
            : lastLine(stderr, url);
        reject(unavailable("source.git", why));
      } else
        resolve(
          stdout.split("\n").flatMap((line): [string, string][] => {
            const [commit, name] = line.split("\t");
            return commit && name && COMMIT.test(commit) ? [[commit, name]] : [];
          }),
        );
    });
  });
}

function lastLine(stderr: string, url: string): string {
  const line =
    stderr
      .trim()
      .split("\n")
      .find((one) => one.startsWith("fatal:")) ?? "git could not list it";
  return line
    .replace(/^fatal: /, "")
    .replaceAll(url, withoutPassword(url))
    .slice(0, 300);
}

function withoutPassword(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, "$1");
}

function unavailable(path: string, message: string): Problem {
  return new Problem("source_unavailable", `${path}: ${message}`, { errors: [{ path, message }] });
}
