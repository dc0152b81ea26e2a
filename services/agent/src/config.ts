import { z } from "zod";
import { DEVICE_VENDORS } from "@muster/model";

/*
 * What an agent is told at its start: which nodes it keeps, where its state lies, what jobs may reach. A JSON file.
 */

const absolute = z.string().max(4096).regex(/^\//, "expected an absolute path");
const shortName = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, "expected lower-case letters, digits, '-' and '.'");

export const nodeConfig = z.strictObject({
  name: shortName,
  /** Devices shown to workers; simulated nodes name devices that this machine doesn't have. */
  vendor: z.enum(DEVICE_VENDORS).default("none"),
  count: z.int().min(0).max(1024).default(0),
});

export const agentConfig = z.strictObject({
  shard: shortName,
  /** Journal, logs, socket: the agent's alone. */
  state_dir: absolute,
  /** Where workers' folders lie; by default below `state_dir`, or below /var/tmp where workers couldn't reach that. */
  area: absolute.optional(),
  nodes: z.array(nodeConfig).min(1).max(4096),
  /** Volume name → directory on this machine, for `mounts`. */
  volumes: z.record(z.string(), absolute).default({}),
  /** `<secrets_dir>/<project>/<from>`. */
  secrets_dir: absolute.optional(),
  /** Root of checkpoints where a job names none; by default in `area`. */
  checkpoint_root: absolute.optional(),
  /** Further roots that jobs may name in `checkpoint.dir`. */
  checkpoint_roots: z.array(absolute).default([]),
  /** Directories whose content `source: {dir}` may name although only the agent can read it. */
  source_roots: z.array(absolute).default([]),
  /** The kernel's log, `/dev/kmsg` or a file, of which device errors and the like are told; of an agent of one node, which is the machine. */
  kernel_log: absolute.optional(),
  /** Seconds between reports of what steps took each rank. */
  step_times_every: z.number().min(0.1).max(3600).default(10),
  logs: z
    .strictObject({
      /** Bytes after which a worker's log goes on in a new file. */
      part: z
        .int()
        .min(4096)
        .default(16 << 20),
      /** Bytes kept of one worker's output; the oldest files go first. */
      cap: z
        .int()
        .min(8192)
        .default(256 << 20),
      /** Seconds that logs of forgotten attempts are kept. */
      keep: z.int().min(0).default(86_400),
    })
    .prefault({}),
});

export type AgentConfig = z.output<typeof agentConfig>;
export type AgentConfigInput = z.input<typeof agentConfig>;
