import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { DiskWatch } from "./disk-watch.ts";
import { KernelLog } from "./kernel-log.ts";

const dir = mkdtempSync(join(tmpdir(), "muster-kernel-"));
afterAll(() => rmSync(dir, { recursive: true }));
const fail = (error: unknown): never => {
  throw error as Error;
};

describe("the kernel's log", () => {
  it("is read from its end, whole lines alone, and only what is worth telling of", () => {
    const path = join(dir, "kern.log");
    writeFileSync(path, "NVRM: Xid (PCI:0): 79, old\n");
    const log = new KernelLog(path, fail);
    expect(log.take(0)).toEqual([]);
    appendFileSync(path, "usb 1-1: new device\nNVRM: Xid (PCI:0): 48, ");
    expect(log.take(1)).toEqual([]);
    appendFileSync(path, "pid=7\nmlx5_core ib0: Link down\n");
    expect(log.take(2)).toEqual(["NVRM: Xid (PCI:0): 48, pid=7", "mlx5_core ib0: Link down"]);
    // rotated
    truncateSync(path, 0);
    appendFileSync(path, "Out of memory: Killed process 7\n");
    expect(log.take(3)).toEqual(["Out of memory: Killed process 7"]);
    log.close();
  });

  it("that says the same thousands of times is told of some times a minute", () => {
    const path = join(dir, "storm.log");
    writeFileSync(path, "");
    const log = new KernelLog(path, fail);
    appendFileSync(path, "NVRM: Xid (PCI:0): 74\n".repeat(500));
    expect(log.take(1000)).toHaveLength(20);
    appendFileSync(path, "NVRM: Xid (PCI:0): 74\n");
    expect(log.take(2000)).toEqual([]);
    appendFileSync(path, "NVRM: Xid (PCI:0): 74\n");
    expect(log.take(61_000)).toHaveLength(1);
    log.close();
  });

  it("that can't be read is said once, and nothing comes of it", () => {
    const troubles: unknown[] = [];
    const log = new KernelLog(join(dir, "none"), (error) => troubles.push(error));
    expect(troubles).toHaveLength(1);
    expect(log.take(0)).toEqual([]);
    log.close();
  });
});

it("a disk that runs full is told of once, and once when it has room again", () => {
  const disk = { free: 2 ** 30, total: 2 ** 40 };
  const watch = new DiskWatch((path) => {
    if (path === "/gone") throw new Error("no such file");
    return disk;
  });
  expect(watch.take(["/gone", "/data"])).toEqual([]);
  disk.free = 60 << 20;
  expect(watch.take(["/data"])).toEqual(["disk /data is full: 0.0 % free"]);
  expect(watch.take(["/data"])).toEqual([]);
  disk.free = 100 << 20;
  expect(watch.take(["/data"])).toEqual([]);
  disk.free = 200 << 20;
  expect(watch.take(["/data"])).toEqual(["disk /data has room again"]);
});
