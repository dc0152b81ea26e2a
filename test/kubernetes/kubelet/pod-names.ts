import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PodRunner } from "./pod.ts";

/** Addresses of pods, all of loopback, and their names: one hosts file that all pods see, in place of a cluster's DNS. */
export class PodNames {
  readonly path: string;
  readonly #runners = new Set<PodRunner>();
  #next = 1;

  constructor(dir: string) {
    this.path = join(dir, "hosts");
    this.#write();
  }

  address(): string {
    const number = this.#next++;
    return `127.64.${(number >> 8) & 255}.${number & 255}`;
  }

  add(runner: PodRunner): void {
    this.#runners.add(runner);
    this.#write();
  }

  remove(runner: PodRunner): void {
    this.#runners.delete(runner);
    this.#write();
  }

  /** In place: the file is mounted into the pods. */
  #write(): void {
    const lines = [...this.#runners].map(({ ip, pod }) => {
      const { hostname = pod.metadata.name, subdomain } = pod.spec;
      const domain = `${subdomain}.${pod.metadata.namespace}.svc`;
      return [ip, pod.metadata.name, ...(subdomain ? [`${hostname}.${subdomain}`, `${hostname}.${domain}`, `${hostname}.${domain}.cluster.local`] : [])].join(
        " ",
      );
    });
    writeFileSync(this.path, ["127.0.0.1 localhost", ...lines, ""].join("\n"));
  }
}
