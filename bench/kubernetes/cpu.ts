import { readFileSync } from "node:fs";
import { descendants } from "../../test/support/processes.ts";

/** Of /proc/PID/stat, after the command's name: own and ended children's time, in ticks of 10 ms. */
const TIMES = [11, 12, 13, 14];

/** CPU milliseconds of a process. */
export function cpuOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return TIMES.reduce((sum, at) => sum + Number(fields[at]) * 10, 0);
  } catch {
    return 0;
  }
}

/** And of all that it started. */
export function cpuOfAll(pid: number): number {
  return [pid, ...descendants(pid)].reduce((sum, one) => sum + cpuOf(one), 0);
}
