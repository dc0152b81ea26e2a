import { fork, type ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import type { Order, Report, StartOrder } from "./spawner-process.ts";

/* Has workers forked by small helper processes, one of which may wait for its child's exec while another goes on. */

export interface Spawned {
  started: (pid: number, startTime: string) => void;
  failed: (reason: string) => void;
  exited: (code: number | null, signal: string | null) => void;
  /** Nobody will tell how it ends: its exit record must. */
  orphaned: () => void;
}

const HELPERS = 2;
/** V8 with as little memory as does: every page costs at each fork. */
const FLAGS = ["--max-semi-space-size=1", "--max-old-space-size=64"];

interface Helper {
  child: ChildProcess;
  workers: Map<number, Spawned>;
}

export class Spawner {
  private readonly program: string;
  private readonly helpers: Helper[] = [];
  private next = 0;
  private closing = false;

  constructor(stateDir: string) {
    // stripped here, so that a helper doesn't carry the stripper's memory
    this.program = join(stateDir, "spawner.mjs");
    writeFileSync(this.program, stripTypeScriptTypes(readFileSync(new URL("spawner-process.ts", import.meta.url), "utf8")), { mode: 0o600 });
    for (let i = 0; i < HELPERS; i++) this.helpers.push(this.make());
  }

  start(order: StartOrder, worker: Spawned): void {
    const helper = this.helpers[this.next++ % this.helpers.length] as Helper;
    helper.workers.set(order.id, worker);
    this.send(helper, order);
  }

  /** Lets the helpers close what they hold of a slot. */
  drop(slot: string): void {
    if (!this.closing) for (const helper of this.helpers) this.send(helper, { drop: slot });
  }

  close(): void {
    this.closing = true;
    for (const { child } of this.helpers) if (child.connected) child.disconnect();
  }

  private send(helper: Helper, order: Order): void {
    if (helper.child.connected) helper.child.send(order, () => {});
  }

  private make(): Helper {
    const child = fork(this.program, [], { execArgv: FLAGS, stdio: ["ignore", "inherit", "inherit", "ipc"], env: {}, cwd: "/" });
    const helper: Helper = { child, workers: new Map() };
    child.on("message", (report: Report) => {
      const worker = helper.workers.get(report.id);
      if (!worker) return;
      if ("pid" in report) return worker.started(report.pid, report.startTime);
      helper.workers.delete(report.id);
      if ("error" in report) worker.failed(report.error);
      else worker.exited(report.code, report.signal);
    });
    child.on("error", () => {});
    child.on("exit", () => {
      if (this.closing) return;
      const index = this.helpers.indexOf(helper);
      if (index >= 0) this.helpers[index] = this.make();
      for (const worker of helper.workers.values()) worker.orphaned();
    });
    return helper;
  }
}
