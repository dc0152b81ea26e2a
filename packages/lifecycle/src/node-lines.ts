import type { FaultRule } from "@muster/model";
import { readDeviceLine } from "./device-errors.ts";

/* What lines of a node's kernel, and its agent's look at its disks, say of the node. What devices say is in device-errors.ts. */

export interface NodeLine {
  rule: string;
  /** `info` is only kept as an event. */
  status: "ok" | "info" | "warning" | "fatal";
  message: string;
}

interface LineRule extends NodeLine {
  pattern: RegExp;
}

const RULES: readonly LineRule[] = [
  { rule: "xid", status: "info", message: "a device reported what isn't in the table", pattern: /NVRM: Xid \([^)]*\): \d+\b/ },
  {
    rule: "machine_check",
    status: "fatal",
    message: "the processor or its memory failed",
    pattern: /\[Hardware Error\].*(Uncorrected|Fatal)|Machine check.*(fatal|panic)/i,
  },
  { rule: "read_only", status: "fatal", message: "a file system can't be written any more", pattern: /Remounting filesystem read-only/ },
  {
    rule: "disk",
    status: "warning",
    message: "a disk failed",
    pattern: /\b(I\/O error, dev|EXT4-fs error|XFS .*(Corruption|I\/O error)|critical medium error)\b/,
  },
  { rule: "link", status: "warning", message: "a link went down", pattern: /\b(mlx5_core|bnxt_en|hns3|irdma|infiniband)\b.*link (is )?down|NIC Link is Down/i },
  { rule: "out_of_memory", status: "info", message: "a process was killed as memory ran out", pattern: /Out of memory: Killed process|oom-kill:/ },
  { rule: "disk_full", status: "warning", message: "a disk is full", pattern: /^disk \S+ is full/ },
  { rule: "disk_full", status: "ok", message: "the disk has room again", pattern: /^disk \S+ has room again/ },
];

const STATUS = { exclude_node: "fatal", retry: "warning", ignore: "info" } as const;

/**
 * What a line says; undefined: nothing of the node.
 * @param rules the cluster's own, which may change what a device's error means
 */
export function readNodeLine(line: string, rules: readonly FaultRule[] = []): NodeLine | undefined {
  const device = readDeviceLine(line, rules);
  if (device) return { rule: device.error.id, status: STATUS[device.action], message: `a device reported: ${device.error.means}` };
  const found = RULES.find(({ pattern }) => pattern.test(line));
  return found && { rule: found.rule, status: found.status, message: found.message };
}
