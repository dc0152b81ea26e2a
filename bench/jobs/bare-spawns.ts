import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";

/** Spawns a second of the same command by Node alone, eight at a time, each with its own log file and its exit awaited. */
export async function bareSpawns(dir: string, count: number): Promise<number> {
  const logs = join(dir, "bare");
  mkdirSync(logs);
  let next = 0;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let i = next++; i < count; i = next++) {
        const log = openSync(join(logs, `${i}.log`), "w");
        await new Promise((resolve, reject) => {
          const child = spawn("true", [], { stdio: ["ignore", log, log] });
          child.on("error", reject);
          child.on("exit", resolve);
        });
        closeSync(log);
      }
    }),
  );
  return (count / (performance.now() - began)) * 1000;
}
