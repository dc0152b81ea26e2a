import { DEFAULT_PRIORITIES } from "@muster/model";
import { readShape, shapeFingerprint, type ClusterShape, type Pool } from "@muster/store";

/** Milliseconds for which what is registered is taken to be unchanged. */
const FRESH = 1000;

export interface Cluster {
  shape: ClusterShape;
  /** Changes with the shape. */
  fingerprint: string;
  queues: ReadonlyMap<string, readonly string[]>;
  projects: ReadonlySet<string>;
  priorities: Readonly<Record<string, number>>;
}

/** What is registered, as submissions are checked against it; asked for again when it changed. */
export class ClusterCache {
  readonly #pool: Pool;
  #cluster: Cluster | undefined;
  #until = 0;
  #loading: Promise<Cluster> | undefined;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async get(): Promise<Cluster> {
    if (this.#cluster && Date.now() < this.#until) return this.#cluster;
    return this.refresh();
  }

  /** As it is now: what a refusal must be judged by. */
  async refresh(): Promise<Cluster> {
    this.#loading ??= this.#load().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  forget(): void {
    this.#until = 0;
  }

  async #load(): Promise<Cluster> {
    const fingerprint = await shapeFingerprint(this.#pool);
    if (this.#cluster?.fingerprint !== fingerprint) {
      const shape = await readShape(this.#pool);
      this.#cluster = {
        shape,
        fingerprint,
        queues: new Map(shape.queues.map((queue) => [queue.name, queue.projects])),
        projects: new Set(shape.projects),
        priorities: priorities(shape.settings),
      };
    }
    this.#until = Date.now() + FRESH;
    return this.#cluster;
  }
}

/** `priorities` of the cluster's settings, over those that always exist. */
function priorities(settings: Record<string, unknown>): Record<string, number> {
  const own = settings["priorities"];
  const numbers = typeof own === "object" && own !== null ? Object.entries(own).filter((entry): entry is [string, number] => Number.isInteger(entry[1])) : [];
  return { ...DEFAULT_PRIORITIES, ...Object.fromEntries(numbers) };
}
