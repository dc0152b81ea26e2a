import { signalName } from "./signals.ts";

export interface RankExit {
  rank: number;
  exitCode: number | null;
  signal: string | null;
}

/*
 * How single ranks ended, as their launcher prints it when it fails: torchrun's failure report (one block a rank), and
 * mpirun's notices. Both speak of global ranks.
 */

export function reportedRanks(output: string): RankExit[] {
  const found = new Map<number, RankExit>();
  const add = (rank: number, code: number): void => {
    if (!found.has(rank)) found.set(rank, code < 0 ? { rank, exitCode: null, signal: signalName(-code) } : { rank, exitCode: code, signal: null });
  };
  for (const block of output.matchAll(/^\s*rank\s*: (\d{1,7}) \(local_rank: \d{1,5}\)\s*\n\s*exitcode\s*: (-?\d{1,3}) /gm))
    add(Number(block[1]), Number(block[2]));
  for (const notice of output.matchAll(/process rank (\d{1,7}) with PID \d{1,10} on node \S{1,256} exited on signal (\d{1,3})/g))
    add(Number(notice[1]), -Number(notice[2]));
  for (const notice of output.matchAll(/Process name: \[\[\d{1,10},\d{1,10}\],(\d{1,7})\]\s*\n\s*Exit code:\s{1,8}(\d{1,3})/g))
    add(Number(notice[1]), Number(notice[2]));
  return [...found.values()];
}
