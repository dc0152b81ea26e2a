import { expect, it } from "vitest";
import { readNodeLine } from "./node-lines.ts";

it.each([
  ["NVRM: Xid (PCI:0000:3b:00): 79, pid=0, GPU has fallen off the bus.", "xid", "fatal"],
  ["NVRM: Xid (PCI:0000:3b:00): 95, pid=77, Uncontained ECC error", "xid", "fatal"],
  ["NVRM: Xid (PCI:0000:3b:00): 63, Row Remapper: pending", "xid", "warning"],
  ["NVRM: Xid (PCI:0000:3b:00): 31, pid=4711, MMU Fault", "xid", "info"],
  ["NVRM: Xid (PCI:0000:3b:00): 13, Graphics Exception", "xid", "info"],
  ["amdgpu 0000:83:00.0: amdgpu: uncorrectable hardware errors detected in umc block", "amdgpu", "fatal"],
  ["amdgpu 0000:83:00.0: amdgpu: ring gfx timeout, signaled seq=5", "amdgpu", "warning"],
  ["[ascend] [drv_hdc] device 3 hbm multi bit ecc error", "ascend", "fatal"],
  ["mce: [Hardware Error]: Uncorrected error, CPU 3", "machine_check", "fatal"],
  ["EXT4-fs (nvme0n1p2): Remounting filesystem read-only", "read_only", "fatal"],
  ["blk_update_request: I/O error, dev nvme0n1, sector 12", "disk", "warning"],
  ["mlx5_core 0000:17:00.0 ib0: Link down", "link", "warning"],
  ["Out of memory: Killed process 4711 (python3) total-vm:1kB", "out_of_memory", "info"],
  ["disk /var/lib/muster is full: 0.2 % free", "disk_full", "warning"],
  ["disk /var/lib/muster has room again", "disk_full", "ok"],
])("%s", (line, rule, status) => expect(readNodeLine(line)).toMatchObject({ rule, status }));

it.each(["usb 1-1: new high-speed USB device", "eth0: Link is up", "a job printed: disk /x is full", ""])("nothing in %j", (line) => {
  expect(readNodeLine(line)).toBeUndefined();
});
