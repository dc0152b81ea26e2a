import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import type { SourceSpec } from "@muster/model";
import fastq from "fastq";
import { Problem } from "../problems/problem.ts";
import type { GitHosts } from "./git-hosts.ts";

/** Milliseconds that a git server may take to say which commit is meant. */
const TIMEOUT = 15_000;
/** So many are asked at a time, and so many more may wait for their turn. */
const AT_ONCE = 8;
const MOST_WAITING = 256;
const COMMIT = /^[0-9a-f]{40}([0-9a-f]{24})?$/;
/** Names and addresses, without brackets. */
const HOST = /^[a-z0-9][a-z0-9._-]*$|^[0-9a-f:.]+$/;
const PROTOCOLS = new Set(["https", "ssh", "file", "http"]);

export interface SourceOptions {
  /** Protocols that `source.git` may use. */
  protocols: readonly string[];
  hosts: GitHosts;
}

/** A repository as git is to ask for it. */
interface Remote {
  url: string;
  protocol: string;
  /** Undefined for a folder. */
  host: string | undefined;
  port: string;
}

interface Question {
  remote: Remote;
  ref: string;
  addresses: readonly string[] | undefined;
}

const questions = fastq.promise(({ remote, ref, addresses }: Question) => listRemote(remote, ref, addresses), AT_ONCE);

/** The commit that a job's source stands for now; null where it has none. @throws Problem source_unavailable */
export async function resolveSource(source: SourceSpec, options: SourceOptions): Promise<string | null> {
  if ("dir" in source) {
    const found = await stat(source.dir).catch(() => undefined);
    if (!found?.isDirectory()) throw unavailable("source.dir", `${source.dir} is no folder on this machine`);
    return null;
  }
  const remote = remoteOf(source.git);
  if (!remote || !PROTOCOLS.has(remote.protocol) || !options.protocols.includes(remote.protocol)) {
    throw unavailable("source.git", `expected a URL of ${options.protocols.join(", ")}`);
  }
  const addresses =
    remote.host === undefined
      ? undefined
      : await options.hosts.addressesOf(remote.host).catch((error: unknown) => {
          throw unavailable("source.git", (error as Error).message);
        });
  if (COMMIT.test(source.ref)) return source.ref;
  if (questions.length() >= MOST_WAITING)
    throw new Problem("unavailable", "Too many repositories are asked at the moment; try again", { headers: { "retry-after": "5" } });
  const commit = pick(await questions.push({ remote, ref: source.ref, addresses }), source.ref);
  if (!commit) throw unavailable("source.ref", `there is no ${source.ref} in ${withoutPassword(source.git)}`);
  return commit;
}

/** git gets the address as it was read here, so that both mean the same host. */
function remoteOf(text: string): Remote | undefined {
  // git's own shorthand: user@host:path
  const short = /^[A-Za-z0-9_.-]+@([A-Za-z0-9][A-Za-z0-9._-]*):[^:]/.exec(text);
  if (short) return { url: text, protocol: "ssh", host: (short[1] as string).toLowerCase(), port: "" };
  // what one reader skips and another does not
  if (/[\s\\]/.test(text) || !/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || !URL.canParse(text)) return undefined;
  const { protocol, hostname, port, href } = new URL(text);
  const remote = { url: href, protocol: protocol.slice(0, -1), port };
  if (remote.protocol === "file") return hostname === "" ? { ...remote, host: undefined } : undefined;
  const host = hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return HOST.test(host) ? { ...remote, host } : undefined;
}

/** A branch or tag of that name; of an annotated tag, the commit that it points at. */
function pick(lines: readonly (readonly [string, string])[], ref: string): string | undefined {
  for (const name of [`refs/tags/${ref}^{}`, `refs/tags/${ref}`, `refs/heads/${ref}`, ref]) {
    const line = lines.find((one) => one[1] === name);
    if (line) return line[0];
  }
  return undefined;
}

function listRemote({ url, protocol, host, port }: Remote, ref: string, addresses: readonly string[] | undefined): Promise<[string, string][]> {
  return new Promise((resolve, reject) => {
    const env = {
      PATH: process.env["PATH"] ?? "/usr/bin:/bin",
      HOME: process.env["HOME"] ?? "/nonexistent",
      LC_ALL: "C",
      GIT_TERMINAL_PROMPT: "0",
      GIT_ASKPASS: "/bin/false",
      SSH_ASKPASS: "/bin/false",
      GIT_SSH_COMMAND: ["ssh -oBatchMode=yes -oConnectTimeout=10", ...(addresses ? sshOptions(host as string, port, addresses) : [])].join(" "),
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
      ...(addresses ? ["-c", `http.curloptResolve=${host}:${port || (protocol === "https" ? 443 : 80)}:${addresses.map(bracketed).join(",")}`] : []),
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

/** git hands these to a shell: they are made of nothing but addresses, and a name that HOST lets through. */
function sshOptions(host: string, port: string, [address]: readonly string[]): string[] {
  const known = port === "" || port === "22" ? host : `[${host}]:${port}`;
  return [`-oHostName=${address}`, `'-oHostKeyAlias=${known}'`];
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
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
