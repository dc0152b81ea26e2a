import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const V1 = "/sys/fs/cgroup/cpuacct";
const V2 = "/sys/fs/cgroup";

/** CPU time of everything that is started inside it, dead or alive, by a control group. */
export interface CpuAccount {
  /** Words that run a command inside the account. */
  wrap(argv: string[]): string[];
  /** Milliseconds so far; NaN where the machine can't tell. */
  milliseconds(): number;
  close(): Promise<void>;
}

export function openCpuAccount(name: string): CpuAccount {
  const v1 = existsSync(`${V1}/cgroup.procs`);
  const dir = `${v1 ? V1 : V2}/muster-bench-${name}-${process.pid}`;
  try {
    mkdirSync(dir);
    writeFileSync(`${dir}/cgroup.procs`, "", { flag: "r+" });
  } catch {
    return { wrap: (argv) => argv, milliseconds: () => Number.NaN, close: async () => {} };
  }
  return {
    // the shell joins the group, then becomes the command
    wrap: (argv) => ["/bin/sh", "-c", 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"', "sh", dir, ...argv],
    milliseconds() {
      if (v1) return Number(readFileSync(`${dir}/cpuacct.usage`, "utf8")) / 1e6;
      return Number(/usage_usec (\d+)/.exec(readFileSync(`${dir}/cpu.stat`, "utf8"))?.[1] ?? Number.NaN) / 1e3;
    },
    async close() {
      for (let tries = 0; tries < 50; tries++) {
        try {
          rmdirSync(dir);
          return;
        } catch {
          await delay(100);
        }
      }
    },
  };
}
