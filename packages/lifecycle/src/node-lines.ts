/*
 * What lines of a node's kernel, and its agent's look at its disks, say of the node. Data, as lists of device errors disagree: here
 * that of NVIDIA's catalogue, with what a job's own error may cause left out.
 */

export const NODE_LINES_VERSION = 1;

export interface NodeLine {
  rule: string;
  /** `info` is only kept as an event. */
  status: "ok" | "info" | "warning" | "fatal";
  message: string;
}

interface LineRule extends NodeLine {
  pattern: RegExp;
}

/** Device lost, memory that can't be corrected or remapped, the device's own processor: none passes by itself. */
const XID_FATAL = "48|62|64|79|95|119|120|136|140|143|155|156|158";
/** Remapped or contained errors, links. */
const XID_WARNING = "63|74|92|94|14[4-9]|150";

const RULES: readonly LineRule[] = [
  { rule: "xid", status: "fatal", message: "a device failed", pattern: new RegExp(`NVRM: Xid \\([^)]*\\): (${XID_FATAL})\\b`) },
  { rule: "xid", status: "warning", message: "a device had an error that it got over", pattern: new RegExp(`NVRM: Xid \\([^)]*\\): (${XID_WARNING})\\b`) },
  { rule: "xid", status: "info", message: "a device stopped a program", pattern: /NVRM: Xid \([^)]*\): \d+\b/ },
  { rule: "amdgpu", status: "fatal", message: "a device failed", pattern: /amdgpu\b.*(uncorrectable|GPU reset\(\d+\) failed|device lost from bus)/i },
  { rule: "amdgpu", status: "warning", message: "a device was reset", pattern: /amdgpu\b.*(ring \S+ timeout|GPU reset begin)/i },
  {
    rule: "ascend",
    status: "fatal",
    message: "a device failed",
    pattern: /\b(ascend|devdrv|davinci|npu)\w*\b.*(multi.?bit|uncorrect\w*|heart ?beat lost|hbm .*fault)/i,
  },
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

/** What a line says; undefined: nothing of the node. */
export function readNodeLine(line: string): NodeLine | undefined {
  const found = RULES.find(({ pattern }) => pattern.test(line));
  return found && { rule: found.rule, status: found.status, message: found.message };
}
