import { literal } from "@muster/model";
import { findPython, findPythonFile, program } from "./python.ts";
import { rankFile } from "./rank-file.ts";
import type { Framework } from "./types.ts";

/**
 * DeepSpeed's per-node launcher, which its `deepspeed` command would start over ssh. The interface is that of
 * `deepspeed.launcher.launch`: `--world_info` is base64url of {host: [device, ...]} in rank order.
 */
export const deepspeed: Framework = (context) => {
  const { kind, words } = program(context.run);
  const world = Object.fromEntries(
    context.members.map((member) => [
      `${member.role}-${member.nodeRank}`,
      member.nodeRank === context.nodeRank ? ownDevices(context.ranks, context.devices) : ownDevices(context.ranks, undefined),
    ]),
  );
  return {
    argv: [
      ...findPython("deepspeed"),
      "-m",
      "deepspeed.launcher.launch",
      `--world_info=${base64url(JSON.stringify(world))}`,
      `--node_rank=${context.nodeRank}`,
      `--master_addr=${literal(context.rendezvous.address)}`,
      `--master_port=${context.rendezvous.port}`,
      ...context.args,
      "${MUSTER_DIR}/rank.py",
      kind,
      ...words,
    ],
    // read by DeepSpeed's elastic agent, where `args` asks for it
    env: {
      MASTER_ADDR: literal(context.rendezvous.address),
      MASTER_PORT: String(context.rendezvous.port),
      ELASTIC_RUN_ID: literal(`${context.job}.${context.incarnation}.${context.attempt}`),
    },
    files: [findPythonFile, rankFile],
  };
};

/** The launcher shows a rank's process the listed devices, so they must be those that the worker was given. */
function ownDevices(ranks: number, devices: number[] | undefined): number[] {
  return Array.from({ length: ranks }, (_, i) => (devices && devices.length > 0 ? (devices[i % devices.length] as number) : i));
}

/** With its padding, which Python's decoder insists on. */
function base64url(text: string): string {
  return Buffer.from(text, "utf8").toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}
