import { randomUUID } from "node:crypto";
import type { Engine, Observation, WorkerKey, WorkerStart } from "@muster/engine";
import { conformanceStart } from "@muster/engine/conformance";

/* For tests: what an engine reports, and waiting for it with a deadline. */

const LIMIT_MS = 30_000;

export async function until<T>(what: string | (() => string), look: () => T | undefined | false | null | Promise<T | undefined | false | null>): Promise<T> {
  for (const deadline = Date.now() + LIMIT_MS; ; ) {
    const found = await look();
    if (found !== undefined && found !== false && found !== null) return found;
    if (Date.now() > deadline) throw new Error(`${typeof what === "string" ? what : what()} didn't come within ${LIMIT_MS / 1000} s`);
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

export class Seen {
  readonly all: Observation[] = [];
  readonly epoch: string;
  private readonly abort = new AbortController();

  private constructor(epoch: string) {
    this.epoch = epoch;
  }

  static async from(engine: Engine, after?: { epoch: string; seq: number }): Promise<Seen> {
    const { epoch, seq } = after ?? (await engine.snapshot());
    const seen = new Seen(epoch);
    void (async () => {
      for await (const batch of engine.observe(epoch, seq, seen.abort.signal)) seen.all.push(...batch);
    })().catch(() => {});
    return seen;
  }

  get last(): { epoch: string; seq: number } {
    return { epoch: this.epoch, seq: this.all.at(-1)?.seq ?? 0 };
  }

  of<K extends Observation["kind"]>(kind: K, job: string): Extract<Observation, { kind: K }>[] {
    return this.all.filter((one): one is Extract<Observation, { kind: K }> => one.kind === kind && "job" in one && one.job === job);
  }

  wait<K extends Observation["kind"]>(kind: K, key: { job: string }): Promise<Extract<Observation, { kind: K }>> {
    return until(
      () => `${kind} of ${key.job} (seen: ${JSON.stringify(this.all).slice(-1500)})`,
      () => this.of(kind, key.job)[0],
    );
  }

  close(): void {
    this.abort.abort();
  }
}

export function someWorker(): WorkerKey {
  return { job: `job_${randomUUID().slice(0, 8)}`, incarnation: "1", attempt: 1, worker: "worker/0" };
}

export function startOf(key: WorkerKey, behaviour: Pick<WorkerStart, "argv" | "env" | "files">, more: Partial<WorkerStart> = {}): WorkerStart {
  return conformanceStart(key, "node-a", behaviour, { checkpoint: { reports: true }, ...more });
}

export async function outputOf(engine: Engine, key: WorkerKey): Promise<string> {
  let text = "";
  for (let offset = 0; ; ) {
    const chunk = await engine.readLog(key, offset, 1 << 20);
    text += Buffer.from(chunk.data).toString("utf8");
    offset = chunk.next;
    if (chunk.data.length === 0) return text;
  }
}
