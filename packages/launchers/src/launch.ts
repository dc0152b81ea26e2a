import { delegatedTo, expandEnv, expandKnown, literal, worldSize, type DelegatedLauncher, type LauncherSpec, type LauncherVariable } from "@muster/model";
import { deepspeed } from "./deepspeed.ts";
import { delegated } from "./delegated.ts";
import { exec } from "./exec.ts";
import { jax } from "./jax.ts";
import { mpirun } from "./mpirun.ts";
import { withPreflight } from "./preflight.ts";
import { torchrun } from "./torchrun.ts";
import type { Framework, Launch, LaunchContext, LaunchInput } from "./types.ts";

const FRAMEWORKS: Record<Exclude<LauncherSpec["kind"], DelegatedLauncher>, Framework> = { exec, torchrun, deepspeed, mpirun, jax };

/** What starts one worker of an attempt. Pure: the same input gives the same argv, env and files. */
export function launch(input: LaunchInput): Launch {
  const { role, peers } = input;
  const members = peers.filter((peer) => peer.role === role.name);
  const ranks = role.ranks_per_node;
  const firstRank = input.nodeRank * ranks;
  const known = Object.fromEntries(Object.entries(launcherVariables(input, members.length)).map(([name, value]) => [name, literal(value)]));
  const env = expandEnv(role.env, known);
  const fill = (text: string): string => expandKnown(text, { ...env, ...known });
  const addresses = new Set(members.map((peer) => peer.address));
  const context: LaunchContext = {
    ...input,
    members,
    ranks,
    firstRank,
    worldSize: worldSize(role, members.length),
    run: role.run.map(fill),
    args: role.launcher.args.map(fill),
    sameHost: addresses.size < members.length,
    loopback: [...addresses].every((address) => /^(127\.|::1$|localhost$)/.test(address)),
  };
  const { kind } = role.launcher;
  if (isDelegated(kind)) return { ...delegated(context, env, known), firstRank, ranks };
  const framework = FRAMEWORKS[kind](context);
  const launched: Launch = {
    argv: framework.argv,
    env: { ...defaults(context), ...env, ...framework.env, ...known },
    files: framework.files,
    firstRank,
    ranks,
  };
  const { preflight } = input.spec;
  return preflight ? withPreflight(context, preflight, fill, launched) : launched;
}

function isDelegated(kind: LauncherSpec["kind"]): kind is DelegatedLauncher {
  return delegatedTo({ kind }) !== undefined;
}

function launcherVariables(input: LaunchInput, nodes: number): Partial<Record<LauncherVariable, string>> {
  const { role, spec, nodeRank, peers } = input;
  return {
    MUSTER_JOB_ID: input.job,
    MUSTER_JOB_NAME: spec.name,
    MUSTER_PROJECT: spec.project,
    MUSTER_INCARNATION: input.incarnation,
    MUSTER_ATTEMPT: String(input.attempt),
    MUSTER_ROLE: role.name,
    MUSTER_NODE: peers.find((peer) => peer.role === role.name && peer.nodeRank === nodeRank)?.node ?? "",
    MUSTER_NODE_RANK: String(nodeRank),
    MUSTER_NODE_COUNT: String(nodes),
    MUSTER_RANKS_PER_NODE: String(role.ranks_per_node),
    MUSTER_WORLD_SIZE: String(worldSize(role, nodes)),
    MUSTER_FIRST_RANK: String(nodeRank * role.ranks_per_node),
    MUSTER_MASTER_ADDR: input.rendezvous.address,
    MUSTER_MASTER_PORT: String(input.rendezvous.port),
    MUSTER_RESUME_REASON: input.resumeReason ?? "",
    MUSTER_API: input.apiUrl,
    ...(input.arrayIndex !== undefined && { MUSTER_ARRAY_INDEX: String(input.arrayIndex) }),
  };
}

/** What the job's own `env` may replace. */
function defaults(context: LaunchContext): Record<string, string> {
  return {
    // without it every rank starts a thread for each core of the node
    OMP_NUM_THREADS: String(Math.max(1, Math.floor(context.role.resources.cpus / context.ranks))),
    // gloo looks for the interface of the host's name, which need not resolve
    ...(context.loopback && { GLOO_SOCKET_IFNAME: "lo" }),
  };
}
