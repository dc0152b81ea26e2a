import type { KubeApi } from "@muster/engine-kubernetes";
import { PODS } from "./fake-cluster.ts";

/** Counts the pods that kube-scheduler has bound, as the API server tells of them; it knows nothing of who made them. */
export class BoundWatch {
  readonly #api: KubeApi;
  readonly #bound = new Set<string>();
  readonly #stop = new AbortController();
  #version: string;
  #wake = (): void => {};
  #broken: Error | undefined;

  /** @param api a client of its own, so that what it asks isn't counted as anybody's */
  static async start(api: KubeApi): Promise<BoundWatch> {
    const { metadata } = await api.ask({ method: "GET", path: PODS, query: { limit: 1 } });
    return new BoundWatch(api, metadata.resourceVersion as string);
  }

  private constructor(api: KubeApi, version: string) {
    this.#api = api;
    this.#version = version;
    void this.#follow().catch((error: Error) => {
      if (!this.#stop.signal.aborted) this.#broken = error;
      this.#wake();
    });
  }

  async until(count: number, within: number): Promise<void> {
    for (const end = Date.now() + within; this.#bound.size < count; ) {
      if (this.#broken) throw new Error("the watch of bound pods broke", { cause: this.#broken });
      if (Date.now() > end) throw new Error(`only ${this.#bound.size} of ${count} pods are bound`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  /** A busy server ends watches that don't keep up: it goes on where it was. */
  async #follow(): Promise<void> {
    for (;;) {
      const body = await this.#api.stream(PODS, { watch: true, resourceVersion: this.#version }, this.#stop.signal);
      let rest = "";
      for await (const data of body) {
        const lines = (rest + data.toString("latin1")).split("\n");
        rest = lines.pop() as string;
        for (const line of lines) this.#take(line);
        this.#wake();
      }
    }
  }

  /** Whole pods are large, and two words are all that is wanted of them. */
  #take(line: string): void {
    if (line.startsWith('{"type":"ERROR"')) throw new Error(line);
    const [, name, version] = /"metadata":\{"name":"([^"]+)".*?"resourceVersion":"(\d+)"/.exec(line) ?? [];
    if (name === undefined || version === undefined) throw new Error(`no pod: ${line.slice(0, 200)}`);
    this.#version = version;
    if (line.includes('"nodeName":"')) this.#bound.add(name);
  }
}
