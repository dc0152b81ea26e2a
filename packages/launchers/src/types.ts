import type { ResolvedJobSpec, ResolvedRole } from "@muster/model";

/** One worker of the attempt, as the others reach it. */
export interface Peer {
  role: string;
  nodeRank: number;
  node: string;
  address: string;
}

export interface LaunchInput {
  job: string;
  incarnation: string;
  attempt: number;
  spec: ResolvedJobSpec;
  role: ResolvedRole;
  nodeRank: number;
  /** All workers of the attempt in rank order, those of other roles too. */
  peers: Peer[];
  /** Where the role's ranks meet: the first worker's address and a port that no earlier attempt used. */
  rendezvous: { address: string; port: number };
  /** Why this attempt follows another; null for the first. */
  resumeReason: string | null;
  apiUrl: string;
  /** Node ranks that it exchanges data with before the start, a round each, where the job asks for that check. */
  partners?: readonly (number | undefined)[];
  arrayIndex?: number;
  /** Indices of the worker's devices on its node; absent where the engine shows it its own from 0. */
  devices?: number[];
}

export interface LaunchFile {
  /** Relative to `${MUSTER_DIR}`. */
  path: string;
  content: string;
}

/** How one worker is started. `argv` and the values of `env` are still to be finished by `expand` with the engine's variables. */
export interface Launch {
  argv: string[];
  env: Record<string, string>;
  files: LaunchFile[];
  firstRank: number;
  ranks: number;
}

/** What a framework's launcher is given: the input, with what all of them need worked out. */
export interface LaunchContext extends LaunchInput {
  /** Workers of this role in rank order. */
  members: Peer[];
  ranks: number;
  firstRank: number;
  worldSize: number;
  /** The program with its known references replaced. */
  run: string[];
  /** Words for the framework's own launcher. */
  args: string[];
  /** Whether several members are simulated nodes of one machine. */
  sameHost: boolean;
  /** Whether all members are reached over the loopback interface. */
  loopback: boolean;
}

/** One framework. `env` goes over the job's own `env`. */
export type Framework = (context: LaunchContext) => Pick<Launch, "argv" | "env" | "files">;
