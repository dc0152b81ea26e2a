import { constants, existsSync, readdirSync, realpathSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { compareFence, type AttemptKey, type SealCheckpoint } from "@muster/engine";
import { inside, type Area } from "./area.ts";
import { copyTree, TreeChanged } from "./copy-tree.ts";
import { attemptOf } from "./keys.ts";
import type { Ledger } from "./ledger.ts";
import type { Users } from "./users.ts";

/*
 * Puts accepted checkpoints beyond the reach of those who made them: a copy (by reference where the file system can) in
 * `committed/`, which only the agent can write to, whole or not at all.
 */

const TRIES = 3;

export class Sealer {
  private readonly ledger: Ledger;
  private readonly area: Area;
  private readonly users: Users;
  private readonly sealed: (key: AttemptKey) => void;
  private work: Promise<void> = Promise.resolve();

  constructor(ledger: Ledger, area: Area, users: Users, sealed: (key: AttemptKey) => void) {
    this.ledger = ledger;
    this.area = area;
    this.users = users;
    this.sealed = sealed;
  }

  /** Seals one after another, so that what is newest ends up newest. */
  add(commits: SealCheckpoint[]): void {
    for (const commit of commits) {
      this.work = this.work.then(() => this.sealOne(commit));
    }
  }

  private async sealOne(commit: SealCheckpoint): Promise<void> {
    try {
      const path = await this.seal(commit);
      this.ledger.observe({ kind: "sealed", step: commit.step, name: commit.name, path, ...attemptOf(commit) });
      this.sealed(commit);
    } catch (error) {
      this.ledger.observe({ kind: "seal_failed", step: commit.step, name: commit.name, reason: (error as Error).message, ...attemptOf(commit) });
    }
  }

  async idle(): Promise<void> {
    await this.work;
  }

  /** Lets an attempt's resume link lead to a sealed checkpoint. Throws where that isn't one of the job's. */
  pointAtStart(link: string, resumeFrom: string): void {
    const committed = join(dirname(link), "committed");
    const name = basename(resumeFrom);
    if (!existsSync(join(committed, name)) || realpathSync(resumeFrom) !== realpathSync(join(committed, name)))
      throw new Error(`${resumeFrom} is not a sealed checkpoint of this job`);
    this.area.pointResume(link, name);
  }

  private async seal(commit: SealCheckpoint): Promise<string> {
    const fence = this.ledger.fence(commit.job);
    if (fence && compareFence(commit, fence) < 0) throw new Error(`attempt ${commit.attempt} is older than attempt ${fence.attempt} of this job`);
    const jobDir = this.area.jobCheckpoints(commit.job, commit.dir);
    const committed = join(jobDir, "committed");
    const target = join(committed, commit.name);
    await mkdir(committed, { recursive: true, mode: 0o711 });
    if (!existsSync(target)) {
      const attemptDir = join(jobDir, `attempt-${commit.incarnation}-${commit.attempt}`);
      let real: string;
      try {
        real = realpathSync(commit.path);
      } catch (error) {
        throw new Error(`${commit.path} doesn't exist`, { cause: error });
      }
      if (real === attemptDir || !inside(attemptDir, real)) throw new Error(`${commit.path} is not below the attempt's checkpoint directory`);
      await this.copy(attemptDir, real, join(committed, `.next-${commit.name}`), await this.users.of(commit.project));
      await rename(join(committed, `.next-${commit.name}`), target);
      const folder = await open(committed, "r");
      await folder.sync();
      await folder.close();
    }
    this.area.pointResume(join(jobDir, `resume-${commit.incarnation}-${commit.attempt}`), commit.name);
    const keep = new Set([...commit.keep, commit.name]);
    for (const name of readdirSync(committed)) if (!keep.has(name)) await rm(join(committed, name), { recursive: true, force: true });
    return target;
  }

  private async copy(attemptDir: string, real: string, to: string, owner: { uid: number; gid: number }): Promise<void> {
    for (let tries = 1; ; tries++) {
      await rm(to, { recursive: true, force: true });
      try {
        // every folder on the way is opened by itself: one of them may become a link between the look and the copy
        const reach = await openBelow(attemptDir, relative(attemptDir, real));
        try {
          await copyTree(reach.path, to, owner);
        } finally {
          await reach.close();
        }
        return;
      } catch (error) {
        await rm(to, { recursive: true, force: true });
        if (!(error instanceof TreeChanged) || tries === TRIES) throw error;
      }
    }
  }
}

/** A path whose folders are all held open, so that it can't come to lead elsewhere. */
async function openBelow(base: string, below: string): Promise<{ path: string; close: () => Promise<void> }> {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  const parts = below.split("/");
  const last = parts.pop() as string;
  let handle = await open(base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  for (const part of parts) {
    const next = open(`/proc/self/fd/${handle.fd}/${part}`, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      await next;
    } finally {
      await handle.close();
    }
    handle = await next;
  }
  return { path: `/proc/self/fd/${handle.fd}/${last}`, close: () => handle.close() };
}
