import { literal } from "@muster/model";
import type { LaunchContext } from "./types.ts";

/** The name of this gang start among all others: new for every attempt. */
export function rendezvousId(context: LaunchContext): string {
  return `${context.job}.${context.incarnation}.${context.attempt}.${context.role.name}`;
}

/** What PyTorch's env:// rendezvous and a torchrun without options read. */
export function torchEnv(context: LaunchContext): Record<string, string> {
  const address = literal(context.rendezvous.address);
  const port = String(context.rendezvous.port);
  return {
    MASTER_ADDR: address,
    MASTER_PORT: port,
    PET_NNODES: String(context.members.length),
    PET_NODE_RANK: String(context.nodeRank),
    PET_NPROC_PER_NODE: String(context.ranks),
    PET_MASTER_ADDR: address,
    PET_MASTER_PORT: port,
    PET_RDZV_ID: literal(rendezvousId(context)),
    PET_MAX_RESTARTS: "0",
  };
}
