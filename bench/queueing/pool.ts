import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import type { Part } from "./part.ts";

/** Runs parts on all cores, in the order given. */
export async function runParts(names: readonly string[]): Promise<Map<string, Part>> {
  const found = new Map<string, Part>();
  const left = [...names];
  const one = async (): Promise<void> => {
    const worker = fork(new URL("./worker.ts", import.meta.url));
    try {
      for (let name = left.shift(); name !== undefined; name = left.shift()) found.set(name, await answer(worker, name));
    } finally {
      worker.kill();
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), names.length) }, one));
  return found;
}

async function answer(worker: ChildProcess, name: string): Promise<Part> {
  const ended = new AbortController();
  const died = once(worker, "exit", { signal: ended.signal }).then(([code]) => {
    throw new Error(`${name}: its worker ended with ${String(code)}`);
  });
  try {
    worker.send(name);
    const [part] = (await Promise.race([once(worker, "message", { signal: ended.signal }), died])) as [Part];
    return part;
  } finally {
    ended.abort();
    died.catch(() => {});
  }
}
