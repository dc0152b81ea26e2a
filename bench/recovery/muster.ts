import { appendFileSync, mkdirSync, rmSync, chmodSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { SubmittedJobSpec } from "@muster/model";
import { startEmbeddedPostgres, type EmbeddedPostgres } from "@muster/store";
import { ControlPlane } from "../../test/support/control-plane.ts";
import { agentPid, descendants, environmentOf, isAlive, pidsWhere, processesOf, signalAll } from "../../test/support/processes.ts";
import { StepsFile, until } from "./steps.ts";
import { PYTHON, TRAIN } from "./torchrun.ts";

/** Muster as users have it, on an agent a node, with a database of its own that can be restarted alone. */
export class MusterUnderTest {
  readonly control: ControlPlane;
  readonly #dir: string;
  readonly #nodes: number;
  #database: EmbeddedPostgres;

  static async start(dir: string, nodes: number): Promise<MusterUnderTest> {
    mkdirSync(dir);
    chmodSync(dir, 0o755);
    const database = await startEmbeddedPostgres({ dir: join(dir, "postgres") });
    const muster = new MusterUnderTest(dir, nodes, database);
    await muster.startControl();
    await until("all nodes", () => muster.allReady(), 120_000);
    return muster;
  }

  private constructor(dir: string, nodes: number, database: EmbeddedPostgres) {
    this.#dir = dir;
    this.#nodes = nodes;
    this.#database = database;
    const pool = "version: 1\nkind: pool\nname: bench\nvendor: none\naccelerator: cpu\nengine: local\n";
    const node = (index: number): string =>
      `version: 1\nkind: node\nname: n${index}\npool: bench\nshard: s${index}\nfabric: [zone, spine, leaf${index}, n${index}]\ndevices: 0\ncpus: 2\nmemory: 4Gi\n`;
    this.control = new ControlPlane({ cluster: [pool, ...Array.from({ length: nodes }, (_, index) => node(index))].join("---\n"), databaseUrl: database.url });
  }

  /** Its checkpoints lie where all agents see them, as on a cluster's shared storage. */
  async startControl(): Promise<void> {
    await this.control.start({ MUSTER_CHECKPOINT_ROOT: join(this.#dir, "checkpoints") });
  }

  async allReady(): Promise<boolean> {
    const rows = await this.control.query<{ ready: number }>(
      "SELECT count(*)::int AS ready FROM nodes WHERE name LIKE 'n%' AND reachable AND schedulable AND lost_since IS NULL",
    );
    return rows[0]?.ready === this.#nodes;
  }

  async submit(name: string, nodes: number, env: Record<string, string> = {}, spec: Partial<SubmittedJobSpec> = {}): Promise<BenchJob> {
    const steps = new StepsFile(join(this.#dir, `steps-${name}`));
    const job = await this.control.submit({
      name,
      nodes,
      launcher: "torchrun",
      resources: { cpus: 2, memory: "1Gi" },
      run: [TRAIN],
      env: { STEPS_FILE: steps.path, MUSTER_PYTHON: PYTHON, ...env },
      progress: { pattern: "^step=(?<step>\\d+)$" },
      checkpoint: { committed: "^saved (?<step>\\d+) (?<path>\\S+)$" },
      ...spec,
    });
    return new BenchJob(this, job.id, steps);
  }

  agentDir(node: string): string {
    return join(this.control.stateDir, "agents", `s${node.slice(1)}`);
  }

  /** The agent of a node and all that it started. */
  processes(node: string): number[] {
    const agent = agentPid(this.agentDir(node));
    return [...(agent === undefined ? [] : [agent, ...descendants(agent)]), ...pidsWhere((env) => env.get("MUSTER_NODE") === node)];
  }

  /** SIGKILL to a node's agent and all its workers, and no new agent there. @returns when */
  killNode(node: string): number {
    appendFileSync(join(this.agentDir(node), "refuse"), "*\n");
    const at = Date.now();
    signalAll(this.processes(node), "SIGKILL");
    return at;
  }

  async repairNode(node: string): Promise<void> {
    rmSync(join(this.agentDir(node), "refuse"), { force: true });
    await this.#back();
  }

  /** SIGSTOP to them. @returns when, and what goes on by SIGCONT */
  silenceNode(node: string): { at: number; pids: Set<number> } {
    const at = Date.now();
    const pids = new Set<number>();
    // what was made between the first look and its stop is seen by the second
    for (let look = 0; look < 2; look++) {
      const found = this.processes(node);
      for (const pid of found) pids.add(pid);
      signalAll(found, "SIGSTOP");
    }
    return { at, pids };
  }

  async wakeNode(pids: ReadonlySet<number>): Promise<void> {
    // the workers first: a zombie is up before the agent that is to end it
    const agents = new Set([...Array(this.#nodes).keys()].map((index) => agentPid(this.agentDir(`n${index}`))));
    signalAll(
      [...pids].filter((pid) => !agents.has(pid)),
      "SIGCONT",
    );
    await delay(1000);
    signalAll([...pids], "SIGCONT");
    await this.#back();
  }

  async #back(): Promise<void> {
    await until("all nodes back", () => this.allReady(), 120_000);
    // suspects come last in placement: each kill is to find the same cluster
    await this.control.query("UPDATE nodes SET health = 'ready', health_reason = NULL WHERE health = 'suspect'");
  }

  async restartDatabase(away: number): Promise<void> {
    const port = Number(new URL(this.#database.url).port);
    const pids = [this.#database.pid, ...descendants(this.#database.pid)];
    signalAll(pids, "SIGKILL");
    await until("the database's end", () => !pids.some(isAlive), 20_000);
    await delay(away);
    this.#database = await startEmbeddedPostgres({ dir: join(this.#dir, "postgres"), port });
  }

  async close(): Promise<void> {
    await this.control.close();
    await this.#database.stop();
  }
}

export class BenchJob {
  readonly id: string;
  readonly steps: StepsFile;
  readonly #muster: MusterUnderTest;

  constructor(muster: MusterUnderTest, id: string, steps: StepsFile) {
    this.#muster = muster;
    this.id = id;
    this.steps = steps;
  }

  /** Steps on, with a checkpoint that was sealed. */
  async untilSteady(): Promise<void> {
    await this.steps.untilMade(25, 40_000);
    const { control } = this.#muster;
    await until(
      "a sealed checkpoint",
      async () => {
        const rows = await control.query(
          "SELECT FROM checkpoints c JOIN jobs j ON (j.id, j.incarnation, j.attempt) = (c.job, c.incarnation, c.attempt) WHERE j.id = $1 AND c.sealed_at IS NOT NULL",
          [this.id],
        );
        return rows.length > 0;
      },
      60_000,
    );
  }

  ranks(): { pid: number; rank: number; node: string }[] {
    return processesOf(this.id).flatMap((pid) => {
      const env = environmentOf(pid);
      const rank = env?.get("RANK");
      return rank === undefined ? [] : [{ pid, rank: Number(rank), node: env?.get("MUSTER_NODE") ?? "" }];
    });
  }

  async attempts(): Promise<{ number: number; outcome: string | null; phases: Record<string, number> | null }[]> {
    return this.#muster.control.query(
      `SELECT a.number, a.outcome, i.phases FROM attempts a LEFT JOIN incident_attempts i ON (i.job, i.incarnation, i.attempt) = (a.job, a.incarnation, a.number)
       WHERE a.job = $1 ORDER BY a.number`,
      [this.id],
    );
  }

  /** Milliseconds since 1970 of the last event of a kind, of the job or of a node. */
  async eventAt(kind: string, node?: string): Promise<number | undefined> {
    const rows = await this.#muster.control.query<{ at: number }>(
      "SELECT (extract(epoch FROM at) * 1000)::float8 AS at FROM events WHERE (job = $1 OR node = $3) AND kind = $2 ORDER BY seq DESC LIMIT 1",
      [this.id, kind, node ?? null],
    );
    return rows[0]?.at;
  }

  /** What a worker that was superseded got accepted: it commits far ahead of all others. */
  async zombieCommits(): Promise<number> {
    const rows = await this.#muster.control.query<{ count: number }>("SELECT count(*)::int AS count FROM checkpoints WHERE job = $1 AND step >= 100000", [
      this.id,
    ]);
    return rows[0]?.count ?? 0;
  }

  async cancel(): Promise<void> {
    await this.#muster.control.request("POST", `/v1/jobs/${this.id}/cancel`, {});
    await this.#muster.control.untilState(this.id, "cancelled", "failed");
  }
}
