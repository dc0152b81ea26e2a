import { execFile, spawn, type ChildProcess } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { CpuAccount } from "./cpu-account.ts";

const run = promisify(execFile);
const BINARIES = { slurmctld: "/usr/sbin/slurmctld", slurmd: "/usr/sbin/slurmd", munged: "/usr/sbin/munged", sbatch: "/usr/bin/sbatch" };

/** A Slurm of its own on loopback: one controller and some nodes, in a folder. */
export interface Slurm {
  version: string;
  /** One array; seconds from submission to the last end. */
  array(count: number): Promise<number>;
  /** Jobs one by one from several submitters; seconds of submitting, and to the last end. */
  single(count: number, submitters: number): Promise<{ submit: number; all: number }>;
  close(): Promise<void>;
}

export function slurmIsThere(): boolean {
  return Object.values(BINARIES).every((file) => existsSync(file)) && process.getuid?.() === 0;
}

export async function startSlurm(dir: string, nodes: number, account: CpuAccount): Promise<Slurm> {
  const etc = join(dir, "etc");
  for (const one of [etc, join(dir, "state"), join(dir, "spool"), join(dir, "log"), join(dir, "munge")]) mkdirSync(one, { recursive: true });
  const children: ChildProcess[] = [];
  const start = (argv: string[], env: NodeJS.ProcessEnv = {}, identity: { uid?: number; gid?: number } = {}): ChildProcess => {
    const [file, ...words] = identity.uid === undefined ? account.wrap(argv) : argv;
    const child = spawn(file as string, words, { stdio: "ignore", env: { ...process.env, ...env }, ...identity });
    children.push(child);
    return child;
  };
  const socket = join(dir, "munge", "socket");
  const munge = await mungeUser();
  for (const path of [dir, join(dir, "munge")]) chmodSync(path, 0o755);
  chownSync(join(dir, "munge"), munge.uid, munge.gid);
  const key = join(dir, "munge", "key");
  writeFileSync(key, Buffer.alloc(128, "muster benchmark"), { mode: 0o400 });
  chownSync(key, munge.uid, munge.gid);
  start(
    [
      BINARIES.munged,
      "--foreground",
      `--socket=${socket}`,
      `--key-file=${key}`,
      `--pid-file=${join(dir, "munge", "pid")}`,
      `--log-file=${join(dir, "munge", "log")}`,
      `--seed-file=${join(dir, "munge", "seed")}`,
    ],
    {},
    munge,
  );
  await waitFor(() => existsSync(socket), "munged");
  const names = Array.from({ length: nodes }, (_, i) => `n${i}`);
  const port = 20_000 + (process.pid % 10_000);
  writeFileSync(
    join(etc, "slurm.conf"),
    [
      "ClusterName=bench",
      "SlurmctldHost=localhost(127.0.0.1)",
      `SlurmctldPort=${port}`,
      "SlurmUser=root",
      "SlurmdUser=root",
      "AuthType=auth/munge",
      `AuthInfo=socket=${socket}`,
      "CredType=cred/munge",
      `StateSaveLocation=${join(dir, "state")}`,
      `SlurmdSpoolDir=${join(dir, "spool")}/%n`,
      `SlurmctldPidFile=${join(dir, "slurmctld.pid")}`,
      `SlurmdPidFile=${join(dir, "spool")}/%n.pid`,
      `SlurmctldLogFile=${join(dir, "log")}/slurmctld.log`,
      `SlurmdLogFile=${join(dir, "log")}/%n.log`,
      "ProctrackType=proctrack/linuxproc",
      "TaskPlugin=task/none",
      "JobAcctGatherType=jobacct_gather/none",
      "SchedulerType=sched/backfill",
      "SelectType=select/cons_tres",
      "SelectTypeParameters=CR_CPU",
      "SlurmdParameters=config_overrides",
      "MpiDefault=none",
      "ReturnToService=2",
      "MaxArraySize=100001",
      "MaxJobCount=200000",
      ...names.map((name, i) => `NodeName=${name} NodeHostName=localhost NodeAddr=127.0.0.1 Port=${port + 1 + i} CPUs=8 State=UNKNOWN`),
      `PartitionName=main Nodes=${names.join(",")} Default=YES State=UP MaxTime=INFINITE`,
      "",
    ].join("\n"),
  );
  const env = { SLURM_CONF: join(etc, "slurm.conf") };
  start([BINARIES.slurmctld, "-D"], env);
  for (const name of names) start([BINARIES.slurmd, "-D", "-N", name], env);
  const ask = async (file: string, words: string[]): Promise<string> =>
    (await run(file, words, { env: { ...process.env, ...env }, cwd: dir, maxBuffer: 1 << 26 })).stdout;
  const idle = async (): Promise<boolean> => (await ask("sinfo", ["-h", "-t", "idle", "-o", "%D"]).catch(() => "")).trim() === String(nodes);
  await waitFor(idle, "all of Slurm's nodes");
  const script = join(dir, "job.sh");
  writeFileSync(script, "#!/bin/sh\ntrue\n", { mode: 0o755 });
  const empty = async (): Promise<boolean> => (await ask("squeue", ["-h", "-o", "%i"])).trim() === "";
  // batch scripts cost less to submit through a program of Slurm's own than through a shell: as users do it
  const sbatch = (words: string[]): Promise<string> => ask(BINARIES.sbatch, ["-Q", "-n1", "-o", "/dev/null", ...words, script]);
  return {
    version: (await ask(BINARIES.slurmctld, ["-V"])).trim(),
    async array(count) {
      const began = performance.now();
      await sbatch([`--array=1-${count}`]);
      await waitFor(empty, "Slurm's array");
      return (performance.now() - began) / 1000;
    },
    async single(count, submitters) {
      const began = performance.now();
      let next = 0;
      await Promise.all(
        Array.from({ length: submitters }, async () => {
          while (next++ < count) await sbatch([]);
        }),
      );
      const submit = (performance.now() - began) / 1000;
      await waitFor(empty, "Slurm's jobs");
      return { submit, all: (performance.now() - began) / 1000 };
    },
    async close() {
      for (const child of children.reverse()) {
        child.kill("SIGTERM");
        await Promise.race([new Promise((resolve) => child.once("exit", resolve)), delay(3000)]);
        if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      }
    },
  };
}

async function mungeUser(): Promise<{ uid: number; gid: number }> {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((one) => one.startsWith("munge:"));
  const [, , uid, gid] = (line ?? "").split(":");
  if (!uid || !gid) throw new Error(`no user munge on this machine of ${cpus().length} cores`);
  return { uid: Number(uid), gid: Number(gid) };
}

async function waitFor(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 180_000; !(await condition()); await delay(50)) {
    if (Date.now() > deadline) throw new Error(`gave up waiting for ${what}`);
  }
}
