import { fork, type ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import type { Spawned, Spawner, WorkerOrder } from "./spawner.ts";
import type { Order, Report } from "./spawner-node-process.ts";
import { shimOrder } from "./spawner-node-shim.ts";
import { removeLeftovers, takeSteps, type Leftover } from "./steps.ts";

/* Has workers forked by small helper processes, one of which may wait for its child's exec while another goes on. */

const HELPERS = 2;
/** V8 with as little memory as does: every page costs at each fork. */
const FLAGS = ["--max-semi-space-size=1", "--max-old-space-size=64"];

interface Helper {
  child: ChildProcess;
  workers: Map<number, Spawned>;
}

export class NodeSpawner implements Spawner {
  private readonly program: string;
  private readonly helpers: Helper[] = [];
  private next = 0;
  private closing = false;

  constructor(stateDir: string) {
    // stripped here, so that a helper doesn't carry the stripper's memory
    this.program = join(stateDir, "spawner.mjs");
    writeFileSync(this.program, stripTypeScriptTypes(readFileSync(new URL("spawner-node-process.ts", import.meta.url), "utf8")), { mode: 0o600 });
    for (let i = 0; i < HELPERS; i++) this.helpers.push(this.make());
  }

  start(order: WorkerOrder, worker: Spawned): void {
    if (order.wrap) throw new Error("mounts need perl on this machine; install it (Debian: perl-base) and start the agent anew");
    takeSteps(order.prepare);
    const helper = this.helpers[this.next++ % this.helpers.length] as Helper;
    helper.workers.set(order.id, worker);
    this.send(helper, shimOrder(order));
  }

  remove(leftovers: Leftover[]): Promise<void> {
    return removeLeftovers(leftovers);
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
      // codes up to 128 mean what they say; above, only the record tells a signal from a code
      else worker.exited(report.code !== null && report.code <= 128 ? { code: report.code, signal: null } : undefined);
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
