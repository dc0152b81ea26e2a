import type { Engine, WorkerContainer, WorkerStart } from "@muster/engine";
import { launch, type Peer } from "@muster/launchers";
import { partnersOf, PREFLIGHT } from "@muster/lifecycle";
import { delegatedTo, type ResolvedRole } from "@muster/model";
import type { CommandRow } from "@muster/store";

export interface StartContext {
  peers: Peer[];
  apiUrl: string;
  token: string;
  resumeFrom?: string;
  /** How many of them are on this shard. */
  gang: number;
  engine: Pick<Engine, "ownDevices" | "addressOf">;
}

/** The command that starts one worker, from what the store has of it. */
export function startRequest(row: CommandRow, context: StartContext): WorkerStart {
  const spec = row.resolved;
  const role = spec.variants[row.variant]?.roles.find((one) => one.name === row.role);
  if (!role) throw new Error(`${row.job} has no role ${row.role} in variant ${row.variant}`);
  const { engine } = context;
  const addressOf = (peer: Pick<Peer, "role" | "nodeRank">): string | undefined =>
    engine.addressOf?.({ job: row.job, incarnation: row.incarnation, attempt: row.attempt, worker: `${peer.role}/${peer.nodeRank}` });
  const launched = launch({
    job: row.job,
    incarnation: row.incarnation,
    attempt: row.attempt,
    spec,
    role,
    nodeRank: row.node_rank,
    peers: context.peers.map((peer) => ({ ...peer, address: addressOf(peer) ?? peer.address })),
    rendezvous: { address: addressOf({ role: role.name, nodeRank: 0 }) ?? row.rendezvous_address, port: row.rendezvous_port },
    resumeReason: row.resume_reason,
    apiUrl: context.apiUrl,
    ...(spec.preflight?.run === "pairwise" && { partners: partnersOf(row.node_rank, context.peers.filter((peer) => peer.role === row.role).length) }),
    ...(row.array_index !== null && { arrayIndex: row.array_index }),
    ...(!engine.ownDevices && { devices: row.devices }),
  });
  const { checkpoint, recovery } = spec;
  const delegated = delegatedTo(role.launcher);
  const first = context.peers[0];
  return {
    job: row.job,
    incarnation: row.incarnation,
    attempt: row.attempt,
    worker: row.worker,
    node: row.node,
    project: row.project,
    role: row.role,
    nodeRank: row.node_rank,
    argv: launched.argv,
    env: launched.env,
    files: launched.files,
    devices: { vendor: row.vendor as WorkerStart["devices"]["vendor"], indices: row.devices, share: row.share },
    limits: { cpus: row.cpus / 1000, memory: Number(row.memory) },
    ...(spec.source && { source: "git" in spec.source ? { git: spec.source.git, commit: row.source_commit ?? spec.source.ref } : { dir: spec.source.dir } }),
    ...(spec.workdir !== undefined && { workdir: spec.workdir }),
    secrets: spec.secrets,
    mounts: spec.mounts.map((mount) => ({ at: mount.at, from: mount.from, readOnly: mount.read_only })),
    token: context.token,
    ...(delegated && { delegated: { kind: delegated, ...(role.launcher.runtime !== undefined && { runtime: role.launcher.runtime }) } }),
    checkpoint: {
      ...(checkpoint.dir !== undefined && { dir: `${checkpoint.dir.replace(/\/+$/, "")}/${row.job}` }),
      ...(checkpoint.signal !== undefined && { signal: checkpoint.signal }),
      ...(checkpoint.marker !== undefined && { marker: checkpoint.marker }),
      ...(checkpoint.committed !== undefined && { committed: checkpoint.committed }),
      reports: checkpoint.from === "all_ranks" || (first !== undefined && first.role === row.role && first.nodeRank === row.node_rank),
      ...(context.resumeFrom !== undefined && { resumeFrom: context.resumeFrom }),
    },
    progress: spec.progress,
    watch: [
      ...(spec.preflight ? [{ id: PREFLIGHT, pattern: "^muster preflight: (passed|failed|timed out) after " }] : []),
      ...recovery.rules.flatMap((rule, index) => (rule.match.log === undefined ? [] : [{ id: String(index), pattern: rule.match.log }])),
    ],
    firstRank: launched.firstRank,
    ranks: launched.ranks,
    gang: context.gang,
    container: containerOf(row, role),
  };
}

function containerOf({ runtime, resolved: spec }: CommandRow, role: ResolvedRole): WorkerContainer {
  const image = role.image ?? runtime?.image;
  const { shm, ephemeral_storage: ephemeralStorage } = role.resources;
  return {
    ...(image !== undefined && { image }),
    trusted: image === runtime?.image,
    env: runtime?.env ?? {},
    ...(spec.service_account !== undefined && { serviceAccount: spec.service_account }),
    ...(shm !== undefined && { shm }),
    ...(ephemeralStorage !== undefined && { ephemeralStorage }),
    grace: spec.checkpoint.grace,
  };
}
