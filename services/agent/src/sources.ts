import { createHash } from "node:crypto";
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AttemptKey, WorkerStart } from "@muster/engine";
import { inside } from "./area.ts";
import type { AgentConfig } from "./config.ts";
import { attemptName } from "./keys.ts";
import { run } from "./slots.ts";
import type { User } from "./users.ts";
import { DEFAULT_PATH } from "./worker-env.ts";

/*
 * A job's source. A repository is mirrored once per agent and project and checked out per attempt; a directory is copied
 * per attempt. Both are done as the project's user, so that a job can name nothing that its user couldn't read itself; only
 * what lies below `source_roots` is copied by the agent.
 */

const TIMEOUT_MS = 600_000;
/** No hooks, no helpers, no transport but those that carry data. */
const GIT = [
  "-c",
  "core.hooksPath=/dev/null",
  "-c",
  "core.fsmonitor=false",
  "-c",
  "core.symlinks=true",
  "-c",
  "credential.helper=",
  "-c",
  "protocol.allow=never",
  "-c",
  "protocol.https.allow=always",
  "-c",
  "protocol.http.allow=always",
  "-c",
  "protocol.ssh.allow=always",
  "-c",
  "protocol.git.allow=always",
  "-c",
  "protocol.file.allow=always",
  "-c",
  "gc.auto=0",
  "-c",
  "transfer.fsckObjects=true",
  "-c",
  "fetch.recurseSubmodules=false",
];

export class Sources {
  config: AgentConfig;
  private readonly area: string;
  private readonly fetching = new Map<string, Promise<string>>();
  private readonly checkouts = new Map<string, Promise<string>>();

  constructor(config: AgentConfig, area: string) {
    this.config = config;
    this.area = area;
    // git runs as the project's user; whose repository it reads is no matter then. It passes on this file alone, not `-c`.
    writeFileSync(join(area, "gitconfig"), "[safe]\n\tdirectory = *\n", { mode: 0o644 });
  }

  /** The folder with the attempt's source, made once for all its workers. Throws where it can't be had. */
  async checkOut(source: NonNullable<WorkerStart["source"]>, key: AttemptKey, user: User, folder: string): Promise<string> {
    const name = attemptName(key);
    let checkout = this.checkouts.get(name);
    if (!checkout) {
      checkout = ("git" in source ? this.fromGit(source.git, source.commit, user, folder) : this.fromDir(source.dir, user, folder)).finally(() => {
        // later workers of the attempt find the folder itself
        setTimeout(() => this.checkouts.delete(name), 60_000).unref();
      });
      this.checkouts.set(name, checkout);
    }
    return checkout;
  }

  /** `workdir` below the source. Throws where it isn't a directory there. */
  workdir(source: string, workdir: string): string {
    let real: string;
    try {
      real = realpathSync(join(source, workdir));
    } catch (error) {
      throw new Error(`workdir ${workdir} isn't in the source`, { cause: error });
    }
    if (!inside(realpathSync(source), real)) throw new Error(`workdir ${workdir} leads out of the source`);
    if (!statSync(real).isDirectory()) throw new Error(`workdir ${workdir} is not a directory`);
    return real;
  }

  private async fromGit(url: string, commit: string, user: User, folder: string): Promise<string> {
    if (existsSync(folder)) return folder;
    if (!/^(https?|ssh|git|file):\/\/|^[\w.-]+@[\w.-]+:|^\//.test(url)) throw new Error(`source.git ${redact(url)}: expected an https, ssh, git or file URL`);
    const mirrorKey = createHash("sha256").update(`${user.uid} ${url}`).digest("hex").slice(0, 32);
    const before = this.fetching.get(mirrorKey);
    const fetched = (before ?? Promise.resolve("")).catch(() => "").then(() => this.mirror(mirrorKey, url, commit, user));
    this.fetching.set(mirrorKey, fetched);
    const mirror = await fetched;
    const next = `${folder}.next`;
    makeFolder(next, user);
    await this.git(user, mirror, [`--work-tree=${next}`, "checkout", "--force", "--quiet", commit, "--", "."], {
      GIT_INDEX_FILE: join(mirror, `index-${createHash("sha256").update(folder).digest("hex").slice(0, 16)}`),
    });
    return publish(next, folder);
  }

  /** The mirror of a repository, with the commit in it. */
  private async mirror(name: string, url: string, commit: string, user: User): Promise<string> {
    const base = join(this.area, "mirrors");
    mkdirSync(base, { recursive: true, mode: 0o711 });
    const mirror = join(base, name);
    if (!existsSync(mirror)) {
      makeFolder(mirror, user);
      await this.git(user, mirror, ["init", "--quiet", "--bare", mirror]);
    }
    const has = (): Promise<boolean> =>
      this.git(user, mirror, ["cat-file", "-e", `${commit}^{commit}`]).then(
        () => true,
        () => false,
      );
    if (await has()) return mirror;
    // a server may refuse to give a bare commit: then everything is fetched
    const one = await this.git(user, mirror, ["fetch", "--quiet", "--no-tags", "--depth=1", "--", url, commit]).catch((error: unknown) => error as Error);
    if (!(one instanceof Error) || (await has())) return mirror;
    await this.git(user, mirror, ["fetch", "--quiet", "--tags", "--force", "--", url, "+refs/heads/*:refs/heads/*"]).catch((error: unknown) => {
      throw new Error(`${redact(url)} can't be fetched: ${redact((error as Error).message)}`);
    });
    if (!(await has())) throw new Error(`commit ${commit} isn't in ${redact(url)}`);
    return mirror;
  }

  private git(user: User, mirror: string, words: string[], env: Record<string, string> = {}): Promise<string> {
    return run("git", [...GIT, `--git-dir=${mirror}`, ...words], {
      cwd: "/",
      timeout: TIMEOUT_MS,
      ...asUser(user),
      env: {
        PATH: DEFAULT_PATH,
        HOME: "/nonexistent",
        LC_ALL: "C.UTF-8",
        GIT_CONFIG_NOSYSTEM: "1",
        GIT_CONFIG_GLOBAL: join(this.area, "gitconfig"),
        GIT_TERMINAL_PROMPT: "0",
        GIT_ASKPASS: "/bin/false",
        GIT_SSH_COMMAND: "ssh -o BatchMode=yes",
        ...env,
      },
    });
  }

  private async fromDir(dir: string, user: User, folder: string): Promise<string> {
    if (existsSync(folder)) return folder;
    const next = `${folder}.next`;
    makeFolder(next, user);
    const trusted =
      process.getuid?.() === 0 && this.config.source_roots.some((root) => existsSync(root) && existsSync(dir) && inside(realpathSync(root), realpathSync(dir)));
    const from = trusted ? realpathSync(dir) : dir;
    try {
      // links are copied as links: what they lead to stays as closed to the user as it was
      await run("cp", ["-R", "-P", "--reflink=auto", "--", `${from}/.`, next], { cwd: "/", timeout: TIMEOUT_MS, ...(trusted ? {} : asUser(user)) });
    } catch (error) {
      const hint = trusted || process.getuid?.() !== 0 ? "" : "; the project's user must be able to read it, or it must lie below the agent's source_roots";
      throw new Error(`source.dir ${dir} can't be copied: ${(error as Error).message}${hint}`, { cause: error });
    }
    if (trusted) await run("chown", ["-R", "-h", `${user.uid}:${user.gid}`, "--", next]);
    return publish(next, folder);
  }
}

async function publish(next: string, folder: string): Promise<string> {
  chmodSync(next, 0o700);
  await run("mv", ["-T", "--", next, folder]);
  return folder;
}

function makeFolder(path: string, user: User): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (!lstatSync(path).isDirectory()) throw new Error(`${path} is not a folder`);
  if (process.getuid?.() === 0) chownSync(path, user.uid, user.gid);
}

function asUser(user: User): Partial<User> {
  return process.getuid?.() === 0 ? user : {};
}

/** Without a user name or password that the URL may carry. */
function redact(text: string): string {
  return text.replaceAll(/\/\/[^/@\s]+@/g, "//");
}
