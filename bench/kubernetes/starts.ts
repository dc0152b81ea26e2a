import type { WorkerStart } from "@muster/engine";
import { conformanceStart } from "@muster/engine/test-start";
import { literal } from "@muster/model";
import { nodeName } from "./fake-cluster.ts";

/** Nodes of each gang: together a thousand. */
const GANGS: readonly number[] = [512, 256, 128, 64, 32, 4, 2, 1, 1];

/** As many of those gangs as there are nodes for, a large one first. */
export function gangsOn(nodes: number): number[] {
  const sizes: number[] = [];
  for (const size of GANGS) if (size <= nodes - sizes.reduce((sum, one) => sum + one, 0)) sizes.push(size);
  return sizes;
}

const PROGRAM = { argv: ["python3", literal("train.py")], env: { MASTER_ADDR: "10.0.0.1", MASTER_PORT: "29500" }, files: [] };
let jobs = 0;

/** Jobs of one device, each on the next node. */
export function singles(count: number, nodes: number): WorkerStart[] {
  return Array.from({ length: count }, (_, index) => start(`job_bench-${++jobs}`, 0, 1, index % nodes, 1));
}

/** Gangs of whole nodes, each beginning where the former ended. */
export function gangs(sizes: readonly number[]): WorkerStart[] {
  let node = 0;
  return sizes.flatMap((size) => {
    const job = `job_bench-${++jobs}`;
    return Array.from({ length: size }, (_, rank) => start(job, rank, size, node++, 8));
  });
}

function start(job: string, rank: number, gang: number, node: number, devices: number): WorkerStart {
  return conformanceStart({ job, incarnation: "1", attempt: 1, worker: `worker/${rank}` }, nodeName(node), PROGRAM, {
    devices: { vendor: "nvidia", indices: Array.from({ length: devices }, (_, index) => index), share: 1000 },
    gang,
  });
}
