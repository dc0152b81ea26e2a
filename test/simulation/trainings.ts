import { createHash } from "node:crypto";
import type { WorkerStart } from "@muster/engine";
import type { Act, Script } from "@muster/engine-simulated";
import { makeId, resolveJobSpec, type SubmittedJobSpec } from "@muster/model";
import { acceptCheckpoint, appendEvents, lockJob, type NewJob } from "@muster/store";
import { commitSubmissions } from "../../services/api/src/submit/commit.ts";
import type { Cluster, Shard } from "./cluster.ts";
import { DEVICES } from "./cluster.ts";
import type { World } from "./world.ts";

/** Progress of all that runs is told this often, in time that services live; milliseconds. */
export const TELL_EVERY = 20_000;

/** What a job does when it runs. A step is a second of work. */
interface Training {
  name: string;
  spec: SubmittedJobSpec;
  steps: number;
  checkpointEvery: number;
  /** Fails by itself so many seconds after each start. */
  bugAfter: number | null;
  /** Commits by the API beside its log. */
  usesApi: boolean;
}

interface Attempt {
  training: Training;
  start: WorkerStart;
  shard: Shard;
  began: number;
  from: number;
}

/** Who submits what, and what it does when it runs. */
export class Trainings {
  readonly #world: World;
  readonly #draw: () => number;
  readonly #all: Training[] = [];
  /** The first worker of each attempt that was ever started, by job and attempt. */
  readonly #leaders = new Map<string, Attempt>();
  readonly #hung: { start: WorkerStart; shard: Shard }[] = [];
  /** Ids of jobs whose submission was acknowledged. */
  readonly acknowledged = new Map<string, string>();
  onBegin: (start: WorkerStart, shard: Shard) => void = () => {};
  /** An attempt ends by its own fault. */
  onBug: (start: WorkerStart) => void = () => {};

  constructor(world: World, draw: () => number) {
    this.#world = world;
    this.#draw = draw;
  }

  get count(): number {
    return this.#all.length;
  }

  /** A new job of some size, about as many nodes and hours as fill the cluster at its rate. */
  submit(cluster: Cluster, { nodes, jobsPerHour, longestHours }: { nodes: number; jobsPerHour: number; longestHours: number }): void {
    const draw = this.#draw;
    const index = this.#all.length;
    const size = Math.min(Math.floor(nodes / 3), 2 ** Math.floor(draw() * Math.log2(nodes / 4)));
    // of what the cluster can do in an hour each job gets its part
    const hours = Math.min(longestHours, Math.max(0.2, (-Math.log(1 - draw()) * nodes * 0.85) / jobsPerHour / size));
    const elastic = size >= 8 && draw() < 0.1;
    const urgent = draw() < 0.15;
    const training: Training = {
      name: `train-${index}`,
      steps: Math.round(hours * 3600),
      checkpointEvery: Math.round(1800 + draw() * 12_600),
      bugAfter: draw() < 0.05 ? 10 + draw() * 3600 : null,
      usesApi: draw() < 0.5,
      spec: {
        name: `train-${index}`,
        accelerator: "h800",
        nodes: elastic ? { min: size / 2, max: size, step: size / 2 } : size,
        resources: { accelerators: DEVICES },
        launcher: "exec",
        run: ["train", String(index)],
        checkpoint: { grace: Math.round(5 + draw() * 55), keep: 2, committed: "^saved (?<step>[0-9]+)$" },
        priority: urgent ? "high" : "normal",
        preemptible: draw() < 0.8,
        recovery: { max_restarts: 1000, ...(draw() < 0.4 && { hang_timeout: 90 }), ...(draw() < 0.2 && { partition: "wait" as const }) },
      },
    };
    this.#all.push(training);
    const newJob = this.#newJob(training, urgent ? 1000 : 0);
    const bodyHash = createHash("sha256").update(training.name).digest();
    cluster.request(async (pool) => {
      const job = { ...newJob, id: makeId("job", Date.now(), bodyHash) };
      const [outcome] = await commitSubmissions(pool, [{ subject: "person", idempotency: { key: training.name, bodyHash }, jobs: [job], many: false }]);
      if (!outcome?.ok) throw outcome?.error;
      this.acknowledged.set(training.name, (outcome.value.body as { id: string }).id);
    });
  }

  #newJob(training: Training, priority: number): Omit<NewJob, "id"> {
    const resolved = resolveJobSpec(training.spec);
    if (!resolved.ok) throw new Error(JSON.stringify(resolved.errors));
    const role = resolved.value.variants[0]?.roles[0];
    return {
      project: "default",
      queue: "default",
      name: training.name,
      submitter: "person",
      labels: {},
      priority,
      priorityClass: training.spec.priority ?? "normal",
      preemptible: training.spec.preemptible ?? true,
      arrayId: null,
      arrayIndex: null,
      arrayLimit: null,
      nodes: role?.nodes.min ?? 1,
      devices: (role?.nodes.min ?? 1) * DEVICES,
      held: false,
      unmetDependencies: 0,
      notBefore: null,
      submitted: JSON.stringify(training.spec),
      resolved: JSON.stringify(resolved.value),
      sourceCommit: null,
      dependencies: [],
    };
  }

  /** What a worker that an engine has just started will do. */
  begin(start: WorkerStart, shard: Shard): Script {
    const training = this.#all[Number(start.argv.at(-1))];
    if (!training) throw new Error(`no training for ${JSON.stringify(start.argv)}`);
    this.onBegin(start, shard);
    const from = Number(/\/committed\/(\d+)-/.exec(start.checkpoint.resumeFrom ?? "")?.[1] ?? 0);
    // a gang comes up together, but for some that are late
    const startsAfter = 1000 + ((start.attempt * 7919 + Number(start.argv.at(-1)) * 104_729) % 30_000) + (this.#world.random() < 0.1 ? 700 : 0);
    const acts: Script["acts"] = [];
    const left = Math.max(0, training.steps - from);
    const leads = start.nodeRank === 0;
    const attempt: Attempt = { training, start, shard, began: this.#world.now() + startsAfter, from };
    if (leads) {
      this.#leaders.set(`${start.job}/${start.attempt}`, attempt);
      for (let at = training.checkpointEvery; at < left; at += training.checkpointEvery)
        acts.push({ after: at * 1000, act: { kind: "commit", step: from + at } });
    }
    if (training.bugAfter !== null && leads && training.bugAfter < left) {
      acts.push({ after: training.bugAfter * 1000, act: { kind: "exit", code: 1 } });
      this.onBug(start);
    } else acts.push({ after: left * 1000, act: { kind: "exit", code: 0 } });
    return {
      startsAfter,
      acts,
      endsOnTerm: 200 + this.#world.random() * 5000,
      ...(leads && training.usesApi && { checkpoints: { after: 1000 + this.#world.random() * 4000, step: () => this.#step(attempt) } }),
    };
  }

  #step({ training, began, from }: Attempt): number {
    return Math.min(training.steps, from + Math.max(0, Math.floor((this.#world.now() - began) / 1000)));
  }

  /** All that runs tells how far it is, and goes on telling. */
  tell(later: (milliseconds: number, work: () => void) => void): void {
    for (const [key, attempt] of this.#leaders) {
      const { start, shard } = attempt;
      if (!shard.engine.isAlive(start)) {
        this.#leaders.delete(key);
        continue;
      }
      const act: Act = { kind: "progress", step: this.#step(attempt), total: attempt.training.steps };
      shard.engine.tell(start, act);
    }
    later(TELL_EVERY, () => this.tell(later));
  }

  /** First workers that are alive, wherever they are. */
  leaders(): { start: WorkerStart; shard: Shard }[] {
    return [...this.#leaders.values()].filter(({ start, shard }) => shard.engine.isAlive(start));
  }

  /** Jobs whose steps go on, and are heard of: what they told in time that is jumped over would have come as regularly as ever. */
  heard(): string[] {
    return this.leaders()
      .filter(({ start, shard }) => !shard.line.isCut && shard.engine.hasAgent && !this.#hung.some((one) => one.start === start))
      .map(({ start }) => start.job);
  }

  /** Whether its job says how long it may stand still. */
  hasLimit({ start }: { start: WorkerStart }): boolean {
    return this.#leaders.get(`${start.job}/${start.attempt}`)?.training.spec.recovery?.hang_timeout !== undefined;
  }

  /** It stands still from now on, and lives. */
  hang({ start, shard }: { start: WorkerStart; shard: Shard }): void {
    shard.engine.hang(start);
    this.#hung.push({ start, shard });
  }

  isHanging(): boolean {
    return this.#hung.some(({ start, shard }) => shard.engine.isAlive(start));
  }

  /** A training commits by the API, as by a way of its own that a cut line to its shard leaves open. */
  commitByApi(cluster: Cluster, { job, incarnation, attempt }: WorkerStart): void {
    const known = this.#leaders.get(`${job}/${attempt}`);
    if (!known) return;
    const step = this.#step(known);
    const commit = { job, incarnation, attempt, generation: 0, step, path: `/simulated/${job}/attempt-${incarnation}-${attempt}/step-${step}` };
    cluster.change(async (client) => {
      await lockJob(client, job);
      const row = await acceptCheckpoint(client, commit);
      if (row)
        await appendEvents(client, [{ kind: "checkpoint.accepted", actor: `attempt:${attempt}`, project: "default", job, attempt, data: { via: "api" } }]);
    });
  }
}
