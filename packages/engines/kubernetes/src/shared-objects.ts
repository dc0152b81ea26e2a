import type { KubeObject } from "./api.ts";
import * as names from "./names.ts";

interface Source {
  secret?: { name: string };
  configMap?: { name: string };
}

/** What several pods lean on: the Secret with their tokens, which goes with the last of them, and files, which a sweep removes when nobody uses them. */
export class SharedObjects {
  private readonly secrets = new Map<string, string>();
  private readonly files = new Map<string, string>();
  /** Pods that lean on a Secret. */
  private readonly leaning = new Map<string, number>();

  /** A pod as it is now. One that was let go of is looked at once more as it leaves, and leans on nothing. */
  saw({ metadata, spec }: KubeObject): void {
    const pod = metadata.name as string;
    if (this.secrets.has(pod) || !(metadata["finalizers"] as string[] | undefined)?.includes(names.FINALIZER)) return;
    const sources = ((spec as { volumes?: { projected?: { sources?: Source[] } }[] }).volumes ?? []).flatMap((volume) => volume.projected?.sources ?? []);
    const secret = sources.find((source) => source.secret)?.secret?.name;
    if (secret !== undefined) {
      this.secrets.set(pod, secret);
      this.leaning.set(secret, (this.leaning.get(secret) ?? 0) + 1);
    }
    const files = sources.find((source) => source.configMap?.name.startsWith("muster-files-"))?.configMap?.name;
    if (files !== undefined) this.files.set(pod, files);
  }

  /** The pod needs nothing any more. @returns the Secret that nobody leans on now, if it was the last that did */
  left(pod: string): string | undefined {
    this.files.delete(pod);
    const secret = this.secrets.get(pod);
    if (secret === undefined) return undefined;
    this.secrets.delete(pod);
    const left = (this.leaning.get(secret) ?? 1) - 1;
    if (left > 0) {
      this.leaning.set(secret, left);
      return undefined;
    }
    this.leaning.delete(secret);
    return secret;
  }

  usedFiles(): Set<string> {
    return new Set(this.files.values());
  }
}
