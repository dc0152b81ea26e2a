import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./slots.ts";

/*
 * Whom workers run as. Where the agent is root, each project has an unprivileged user of its own: a system user where
 * useradd is there, a bare number from a high range else. Where it isn't, workers run as the agent does.
 */

export interface User {
  uid: number;
  gid: number;
}

const FIRST_BARE_ID = 2_100_000_000;

export class Users {
  private readonly path: string;
  private readonly known: Record<string, User>;
  private readonly making = new Map<string, Promise<User>>();

  constructor(stateDir: string) {
    this.path = join(stateDir, "users.json");
    this.known = existsSync(this.path) ? (JSON.parse(readFileSync(this.path, "utf8")) as Record<string, User>) : {};
  }

  get separate(): boolean {
    return process.getuid?.() === 0;
  }

  async of(project: string): Promise<User> {
    if (!this.separate) return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const known = this.known[project];
    if (known) return known;
    let making = this.making.get(project);
    if (!making) {
      making = this.make(project).finally(() => this.making.delete(project));
      this.making.set(project, making);
    }
    return making;
  }

  private async make(project: string): Promise<User> {
    const name =
      `muster-${project}`.length <= 31 && !project.includes(".")
        ? `muster-${project}`
        : `muster-${createHash("sha256").update(project).digest("hex").slice(0, 16)}`;
    let user = lookUp(name);
    if (!user) {
      await run("useradd", ["--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", "--user-group", "--", name]).catch(
        () => "",
      );
      user = lookUp(name);
    }
    if (!user) {
      const taken = new Set(Object.values(this.known).map((other) => other.uid));
      let uid = FIRST_BARE_ID + (createHash("sha256").update(project).digest().readUInt32BE() % 40_000_000);
      while (taken.has(uid)) uid++;
      user = { uid, gid: uid };
    }
    this.known[project] = user;
    writeFileSync(`${this.path}.next`, JSON.stringify(this.known), { mode: 0o600 });
    renameSync(`${this.path}.next`, this.path);
    return user;
  }
}

function lookUp(name: string): User | undefined {
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [login, , uid, gid] = line.split(":");
    if (login === name && Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}
