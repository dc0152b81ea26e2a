import { readdirSync, readFileSync } from "node:fs";

const TICKS = 100;

/** Processor seconds of these processes and their children, the gone ones too; NaN where the machine can't tell. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  try {
    for (const entry of readdirSync("/proc")) {
      if (!/^\d+$/.test(entry)) continue;
      const fields = statOf(entry);
      if (!fields) continue;
      // as proc(5) has it, counted from the field behind the name: parent, own time, that of children that were waited for
      const [parent, user, system, goneUser, goneSystem] = [1, 11, 12, 13, 14].map((at) => Number(fields[at])) as [number, number, number, number, number];
      if (pids.includes(Number(entry))) ticks += user + system + goneUser + goneSystem;
      else if (pids.includes(parent)) ticks += user + system;
    }
  } catch {
    return Number.NaN;
  }
  return ticks / TICKS;
}

function statOf(pid: string): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined; // gone meanwhile
  }
}
