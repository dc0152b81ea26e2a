import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  Gone,
  type AttemptKey,
  type Engine,
  type Observation,
  type ShardSnapshot,
  type WorkerKey,
  type WorkerStart,
  type WorkerStatus,
  type WorkerStop,
} from "./engine.ts";
import { conformanceStart } from "./test-start.ts";

export { conformanceStart };

/*
 * What every engine must do, as tests. An engine's own package calls `engineConformance` with a harness that makes the
 * engine and says how its workers behave; all else is the same for real processes, pods and virtual workers.
 */

/** What a worker of a test does. */
export type Behaviour =
  | { kind: "exit"; code: number; print?: string[] }
  | { kind: "signal"; signal: "SIGKILL" | "SIGSEGV" }
  /** Runs until it is stopped; ends on SIGTERM. */
  | { kind: "run"; print?: string[] }
  /** Prints `ready`, then runs until it is killed; SIGTERM doesn't end it. */
  | { kind: "stubborn" }
  /** Writes a checkpoint folder `step-<step>` and the line `saved <step> <path>`, then runs. */
  | { kind: "commit"; step: number };

export interface EngineHarness {
  engine: Engine;
  /** At least two nodes. */
  nodes: string[];
  /** What makes a worker behave so. */
  behave: (behaviour: Behaviour) => Pick<WorkerStart, "argv" | "env" | "files">;
  /** Lets a little time pass: real for real engines, virtual for simulated ones. */
  pass: () => Promise<void>;
  /** A second engine object over the same shard, as after a restart of the control plane. */
  reconnect: () => Promise<Engine>;
  dispose: () => Promise<void>;
}

const LIMIT_STEPS = 3000;

/** Registers the suite. `make` gives a fresh shard for it. */
export function engineConformance(name: string, make: () => Promise<EngineHarness>): void {
  describe(`${name} keeps the engine's contract`, () => {
    let harness: EngineHarness;
    let watch: Watch;
    beforeAll(async () => {
      harness = await make();
    });
    afterAll(() => harness.dispose());
    beforeEach(async () => {
      watch = await Watch.open(harness.engine);
    });
    afterEach(() => watch.close());

    const attempt = (number = 1, job = `job_${randomUUID().slice(0, 8)}`, incarnation = "1"): AttemptKey => ({ job, incarnation, attempt: number });
    const worker = (key: AttemptKey, rank = 0): WorkerKey => ({ ...key, worker: `worker/${rank}` });
    const start = (key: WorkerKey, behaviour: Behaviour, more: Partial<WorkerStart> = {}): WorkerStart =>
      conformanceStart(key, harness.nodes[0] as string, harness.behave(behaviour), more);
    const stop = (key: WorkerKey, mode: WorkerStop["mode"], grace = 5): WorkerStop => ({ ...key, mode, grace });

    async function until<T>(what: string, look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
      for (let step = 0; step < LIMIT_STEPS; step++) {
        const found = await look();
        if (found !== undefined && found !== false) return found;
        await harness.pass();
      }
      throw new Error(`${what} didn't come; seen: ${JSON.stringify(watch.all).slice(-3000)}`);
    }
    const seen = <K extends Observation["kind"]>(kind: K, key: AttemptKey | WorkerKey): Promise<Extract<Observation, { kind: K }>> =>
      until(`${kind} of ${key.job}`, () => watch.of(kind, key)[0]);
    const status = async (key: WorkerKey): Promise<WorkerStatus | undefined> => (await harness.engine.snapshot()).workers.find((one) => same(one, key));
    const ready = (key: WorkerKey): Promise<boolean> =>
      until("the worker's line", async () => new TextDecoder().decode((await harness.engine.readLog(key, 0, 64)).data).includes("ready"));
    /** Commands after this one come after all that was reported before it. */
    const settle = async (): Promise<void> => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "exit", code: 0 })]);
      await seen("exited", key);
    };

    test("a snapshot names its nodes with their boot ids, and an epoch", async () => {
      const { epoch, nodes } = await harness.engine.snapshot();
      expect(epoch).not.toBe("");
      expect(nodes.map(({ node }) => node).sort()).toEqual([...harness.nodes].sort());
      for (const { bootId } of nodes) expect(bootId).not.toBe("");
      expect(new Set(nodes.map(({ bootId }) => bootId)).size).toBe(nodes.length);
    });

    test.each([0, 1, 33, 137, 255])("exit code %i is reported, after the start", async (code) => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "exit", code })]);
      expect(await seen("exited", key)).toMatchObject({ exitCode: code, signal: null });
      expect(watch.all.filter((one) => same(one, key)).map(({ kind }) => kind)).toEqual(["started", "exited"]);
      expect(await status(key)).toMatchObject({ state: "exited", exitCode: code, signal: null });
    });

    test.each(["SIGKILL", "SIGSEGV"] as const)("death by %s is told from an exit code", async (signal) => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "signal", signal })]);
      expect(await seen("exited", key)).toMatchObject({ exitCode: null, signal });
    });

    test("a failed worker's report carries the end of its output", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "exit", code: 3, print: ["first", "the reason"] })]);
      expect((await seen("exited", key)).errorTail).toContain("the reason");
    });

    test("the workers of a gang run on several nodes at once", async () => {
      const key = attempt();
      await harness.engine.start(harness.nodes.slice(0, 2).map((node, rank) => start(worker(key, rank), { kind: "run" }, { node })));
      await seen("started", worker(key, 0));
      await seen("started", worker(key, 1));
      const running = (await harness.engine.snapshot()).workers.filter((one) => one.job === key.job);
      expect(running.map(({ node, state }) => `${node} ${state}`).sort()).toEqual(
        harness.nodes
          .slice(0, 2)
          .map((node) => `${node} running`)
          .sort(),
      );
    });

    test("the same start again starts nothing", async () => {
      const key = worker(attempt());
      const order = start(key, { kind: "exit", code: 0 });
      await harness.engine.start([order]);
      await harness.engine.start([order]);
      await seen("exited", key);
      await harness.engine.start([order]);
      await settle();
      expect(watch.of("started", key)).toHaveLength(1);
      expect(watch.of("exited", key)).toHaveLength(1);
      expect(watch.of("refused", key)).toHaveLength(0);
    });

    test("an older attempt is refused, and said to be older", async () => {
      const newer = attempt(2);
      await harness.engine.start([start(worker(newer), { kind: "exit", code: 0 })]);
      await seen("exited", newer);
      const older = worker({ ...newer, attempt: 1 });
      await harness.engine.start([start(older, { kind: "exit", code: 0 })]);
      expect(await seen("refused", older)).toMatchObject({ code: "stale" });
      expect(watch.of("started", older)).toHaveLength(0);
      expect(watch.all.find((one) => one.kind === "newer_known" && one.job === newer.job)).toMatchObject({ attempt: 2 });
    });

    test("an unknown node is refused", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "run" }, { node: "no-such-node" })]);
      expect(await seen("refused", key)).toMatchObject({ code: "no_such_node" });
      expect(await status(key)).toBeUndefined();
    });

    test("a graceful stop ends a worker that heeds SIGTERM well before its grace", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "run" }, { checkpoint: { reports: true } })]);
      await seen("started", key);
      await harness.engine.stop([stop(key, "graceful", 3600)]);
      expect(await seen("exited", key)).toMatchObject({ signal: "SIGTERM" });
    });

    test("at the end of the grace a worker is killed", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "stubborn" })]);
      await ready(key);
      await harness.engine.stop([stop(key, "graceful", 1)]);
      expect((await status(key))?.stopping).toBe(true);
      expect(await seen("exited", key)).toMatchObject({ signal: "SIGKILL" });
    });

    test("a kill ends at once what a graceful stop would leave for an hour", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "stubborn" })]);
      await ready(key);
      await harness.engine.stop([stop(key, "graceful", 3600)]);
      await harness.engine.stop([stop(key, "kill", 0)]);
      expect(await seen("exited", key)).toMatchObject({ exitCode: null, signal: "SIGKILL" });
    });

    test("a later graceful stop may shorten the grace", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "stubborn" })]);
      await ready(key);
      await harness.engine.stop([stop(key, "graceful", 3600)]);
      await harness.engine.stop([stop(key, "graceful", 1)]);
      expect(await seen("exited", key)).toMatchObject({ signal: "SIGKILL" });
    });

    test("stopping what has ended changes nothing", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "exit", code: 5 })]);
      await seen("exited", key);
      await harness.engine.stop([stop(key, "kill", 0)]);
      await settle();
      expect(watch.of("exited", key)).toHaveLength(1);
      expect(await status(key)).toMatchObject({ exitCode: 5 });
    });

    test("a worker stopped before its start came can't start any more", async () => {
      const key = worker(attempt());
      await harness.engine.stop([stop(key, "kill", 0)]);
      expect(await seen("lost", key)).toMatchObject({ reason: "never started" });
      await harness.engine.start([start(key, { kind: "run" })]);
      expect(await seen("refused", key)).toMatchObject({ code: "stale" });
      expect(watch.of("started", key)).toHaveLength(0);
    });

    test("a forgotten attempt leaves the snapshot and can't start again", async () => {
      const key = worker(attempt());
      const order = start(key, { kind: "exit", code: 0 });
      await harness.engine.start([order]);
      await seen("exited", key);
      await harness.engine.forget([key]);
      expect(await status(key)).toBeUndefined();
      await harness.engine.start([order]);
      expect(await seen("refused", key)).toMatchObject({ code: "stale" });
      expect(watch.of("started", key)).toHaveLength(1);
    });

    test("an attempt that still runs isn't forgotten", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "run" })]);
      await seen("started", key);
      await harness.engine.forget([key]);
      expect(await status(key)).toMatchObject({ state: "running" });
    });

    test("observations go on after the last one seen, without gap or repetition", async () => {
      const first = worker(attempt());
      await harness.engine.start([start(first, { kind: "exit", code: 0 })]);
      await seen("exited", first);
      const { epoch } = await harness.engine.snapshot();
      const cursor = watch.all.at(-1)?.seq as number;
      watch.close();
      const second = worker(attempt());
      await harness.engine.start([start(second, { kind: "exit", code: 0 })]);
      const resumed = await Watch.open(await harness.reconnect(), { epoch, seq: cursor });
      await until("exited of the second", () => resumed.of("exited", second)[0]);
      resumed.close();
      expect(resumed.all.every(({ seq }) => seq > cursor)).toBe(true);
      expect(resumed.of("started", first)).toHaveLength(0);
      expect(resumed.of("started", second)).toHaveLength(1);
      const numbers = resumed.all.map(({ seq }) => seq);
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    });

    test("observations of another epoch are gone", async () => {
      const iterator = harness.engine.observe("another-epoch", 0, new AbortController().signal)[Symbol.asyncIterator]();
      await expect(iterator.next()).rejects.toBeInstanceOf(Gone);
    });

    test("ends that nobody watched are in the snapshot of a new connection", async () => {
      watch.close();
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "exit", code: 9 })]);
      const engine = await harness.reconnect();
      const found = await until("the end in a snapshot", async () => (await engine.snapshot()).workers.find((one) => same(one, key) && one.state === "exited"));
      expect(found.exitCode).toBe(9);
    });

    test("output is read by offset, to its end", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "exit", code: 0, print: ["one", "two"] })]);
      await seen("exited", key);
      const whole = await harness.engine.readLog(key, 0, 4096);
      expect(new TextDecoder().decode(whole.data)).toBe("one\ntwo\n");
      expect(whole).toMatchObject({ offset: 0, next: 8, end: true });
      const part = await harness.engine.readLog(key, 4, 3);
      expect(new TextDecoder().decode(part.data)).toBe("two");
      expect(part).toMatchObject({ offset: 4, next: 7, end: false });
    });

    test("progress is read from the output", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "run", print: ["step=120/1000 loss=2.31 rate=14.2"] })]);
      expect(await seen("progress", key)).toMatchObject({ step: 120, total: 1000, loss: 2.31, rate: 14.2 });
    });

    test("a pattern that is watched for is reported once", async () => {
      const key = worker(attempt());
      await harness.engine.start([
        start(
          key,
          { kind: "exit", code: 1, print: ["fine", "uncorrectable ECC error on 3", "uncorrectable ECC error on 4"] },
          { watch: [{ id: "ecc", pattern: "uncorrectable ECC" }] },
        ),
      ]);
      await seen("exited", key);
      expect(watch.of("matched", key)).toMatchObject([{ id: "ecc", line: "uncorrectable ECC error on 3" }]);
    });

    test("a commit is seen, sealed beyond its maker's reach, and sealed once", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "commit", step: 40 })]);
      const commit = await seen("checkpoint", key);
      expect(commit).toMatchObject({ step: 40, generation: 0, via: "log" });
      const order = { ...key, node: harness.nodes[0] as string, project: "default", step: 40, path: commit.path, name: "40-a", keep: ["40-a"] };
      const { worker: _, ...seal } = order;
      await harness.engine.seal([seal]);
      const sealed = await seen("sealed", key);
      expect(sealed).toMatchObject({ step: 40, name: "40-a" });
      expect(sealed.path).not.toBe(commit.path);
      await harness.engine.seal([seal]);
      const again = await until("the seal's second report", () => watch.of("sealed", key)[1]);
      expect(again.path).toBe(sealed.path);
    });

    test("what isn't below the attempt's checkpoints can't be sealed", async () => {
      const key = worker(attempt());
      await harness.engine.start([start(key, { kind: "run" })]);
      await seen("started", key);
      await harness.engine.seal([{ ...attemptOnly(key), node: harness.nodes[0] as string, project: "default", step: 1, path: "/etc", name: "1-a", keep: [] }]);
      expect((await seen("seal_failed", key)).name).toBe("1-a");
    });

    test("a new attempt begins only when the older one's workers are dead", async () => {
      const old = worker(attempt(1));
      await harness.engine.start([start(old, { kind: "stubborn" })]);
      await seen("started", old);
      const next = { ...old, attempt: 2 };
      await harness.engine.start([start(next, { kind: "exit", code: 0 })]);
      await seen("exited", next);
      const order = watch.all.filter((one) => "job" in one && one.job === old.job).map((one) => ("attempt" in one ? `${one.kind} ${one.attempt}` : one.kind));
      expect(order.indexOf("exited 1")).toBeGreaterThanOrEqual(0);
      expect(order.indexOf("exited 1")).toBeLessThan(order.indexOf("started 2"));
    });

    // the last one: after it, the shard knows an incarnation that the other tests' commands don't have
    test("a store of an older incarnation starts nothing, whatever the job", async () => {
      const restored = attempt(1, undefined, "70");
      await harness.engine.start([start(worker(restored), { kind: "exit", code: 0 })]);
      await seen("exited", restored);
      const late = worker(attempt(9, undefined, "69"));
      await harness.engine.start([start(late, { kind: "exit", code: 0 })]);
      expect(await seen("refused", late)).toMatchObject({ code: "newer_known" });
      expect((await harness.engine.snapshot()).incarnation).toBe("70");
      expect(watch.all.some((one) => one.kind === "newer_known")).toBe(true);
    });
  });
}

/** What an engine reported, in order. */
class Watch {
  readonly all: Observation[] = [];
  private readonly stop = new AbortController();

  /** From now on, or from a place in an epoch. */
  static async open(engine: Engine, from?: Pick<ShardSnapshot, "epoch" | "seq">): Promise<Watch> {
    const watch = new Watch();
    const { epoch, seq } = from ?? (await engine.snapshot());
    void (async () => {
      try {
        for await (const batch of engine.observe(epoch, seq, watch.stop.signal)) watch.all.push(...batch);
      } catch {
        // the test that waits for what doesn't come says so
      }
    })();
    return watch;
  }

  of<K extends Observation["kind"]>(kind: K, key: AttemptKey | WorkerKey): Extract<Observation, { kind: K }>[] {
    return this.all.filter((one): one is Extract<Observation, { kind: K }> => one.kind === kind && same(one, key));
  }

  close(): void {
    this.stop.abort();
  }
}

function attemptOnly({ job, incarnation, attempt }: AttemptKey): AttemptKey {
  return { job, incarnation, attempt };
}

function same(one: object, key: AttemptKey | WorkerKey): boolean {
  const fields = one as Partial<WorkerKey>;
  return (
    fields.job === key.job &&
    fields.incarnation === key.incarnation &&
    fields.attempt === key.attempt &&
    (!("worker" in key) || fields.worker === undefined || fields.worker === key.worker)
  );
}
