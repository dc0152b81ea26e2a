import { expect, it } from "vitest";
import { readNodeLine } from "./node-lines.ts";

it.each([
  ["NVRM: Xid (PCI:0000:3b:00): 79, pid=0, GPU has fallen off the bus.", "xid_79", "fatal"],
  ["NVRM: Xid (PCI:0000:3b:00): 95, pid=77, Uncontained ECC error", "xid_95", "fatal"],
  ["NVRM: Xid (PCI:0000:3b:00): 63, Row Remapper: pending", "xid_63", "warning"],
  ["NVRM: Xid (PCI:0000:3b:00): 31, pid=4711, MMU Fault", "xid_31", "info"],
  ["NVRM: Xid (PCI:0000:3b:00): 13, Graphics Exception", "xid_13", "info"],
  ["amdgpu 0000:83:00.0: amdgpu: uncorrectable hardware errors detected in umc block", "amd_uncorrectable", "fatal"],
  ["amdgpu 0000:83:00.0: amdgpu: ring gfx timeout, signaled seq=5", "amd_ring_timeout", "warning"],
  ["[ascend] [drv_hdc] device 3 hbm multi bit ecc error", "ascend_memory", "fatal"],
  ["[ascend] HBM MULTI BIT ECC, device_id=3, event_id=0x80e01801, time us=1", "ascend_80e01801", "warning"],
  ["[ascend] device_id=3, event_id=0x80E18402", "ascend_80e18402", "fatal"],
  ["NVRM: Xid (PCI:0000:3b:00): 999, new", "xid", "info"],
  ["mce: [Hardware Error]: Uncorrected error, CPU 3", "machine_check", "fatal"],
  ["EXT4-fs (nvme0n1p2): Remounting filesystem read-only", "read_only", "fatal"],
  ["blk_update_request: I/O error, dev nvme0n1, sector 12", "disk", "warning"],
  ["mlx5_core 0000:17:00.0 ib0: Link down", "link", "warning"],
  ["Out of memory: Killed process 4711 (python3) total-vm:1kB", "out_of_memory", "info"],
  ["disk /var/lib/muster is full: 0.2 % free", "disk_full", "warning"],
  ["disk /var/lib/muster has room again", "disk_full", "ok"],
])("%s", (line, rule, status) => expect(readNodeLine(line)).toMatchObject({ rule, status }));

it.each(["usb 1-1: new high-speed USB device", "BAR 2: assigned [mem 0x2c000007-0x5d00001f]", "eth0: Link is up", "a job printed: disk /x is full", ""])(
  "nothing in %j",
  (line) => {
    expect(readNodeLine(line)).toBeUndefined();
  },
);

it("means what the cluster's rules say, by the error's id", () => {
  const remapped = "NVRM: Xid (PCI:0000:3b:00): 63, Row Remapper: pending";
  expect(readNodeLine(remapped, [{ id: "xid_63", action: "exclude_node" }])).toMatchObject({ rule: "xid_63", status: "fatal" });
  expect(readNodeLine(remapped, [{ id: "xid_63", action: "ignore" }])).toMatchObject({ status: "info" });
  expect(readNodeLine(remapped, [{ id: "xid_63", off: true }])).toMatchObject({ rule: "xid", status: "info" });
  expect(readNodeLine(remapped, [{ id: "xid_63", action: "exclude_node", shadow: true }])).toMatchObject({ status: "warning" });
  // one with a match of its own is another rule, of what jobs print
  expect(readNodeLine(remapped, [{ id: "xid_63", match: { log: "x" }, action: "exclude_node" }])).toMatchObject({ status: "warning" });
});
