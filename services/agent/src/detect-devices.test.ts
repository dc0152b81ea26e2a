import { expect, test } from "vitest";
import { detectDevices, parseAscend, parseNvidia, parseRocm } from "./detect-devices.ts";

const MIB = 1 << 20;

test("nvidia-smi: equal devices are counted, others stand apart", () => {
  const text =
    Array.from({ length: 8 }, (_, i) => `${i}, NVIDIA H800, 81559\n`).join("") +
    "8, NVIDIA GeForce RTX 4090, 24564\n9, Tesla V100-SXM2-32GB, 32768\n10, NVIDIA A100-SXM4-80GB, 81920\n";
  expect(parseNvidia(text)).toEqual([
    { vendor: "nvidia", model: "h800", count: 8, memory: 81_559 * MIB },
    { vendor: "nvidia", model: "rtx-4090", count: 1, memory: 24_564 * MIB },
    { vendor: "nvidia", model: "v100", count: 1, memory: 32_768 * MIB },
    { vendor: "nvidia", model: "a100", count: 1, memory: 81_920 * MIB },
  ]);
});

test("npu-smi info: two lines a chip, HBM is the last pair", () => {
  const text = `+------------------------------------------------------------------------------------------------+
| npu-smi 23.0.rc3                 Version: 23.0.rc3                                              |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 92.6        46                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3162 / 65536         |
+===========================+===============+====================================================+
| 1     910B3               | OK            | 90.3        45                0    / 0             |
| 0                         | 0000:01:00.0  | 0           0    / 0          3162 / 65536         |
+===========================+===============+====================================================+
`;
  expect(parseAscend(text)).toEqual([{ vendor: "ascend", model: "ascend-910b3", count: 2, memory: 65_536 * MIB }]);
});

test("rocm-smi --json: cards only, model from the series", () => {
  const card = {
    "Card Series": "AMD Instinct MI300X OAM",
    "Card Model": "0x74a1",
    "VRAM Total Memory (B)": "206141652992",
    "VRAM Total Used Memory (B)": "283086848",
  };
  expect(parseRocm(JSON.stringify({ card0: card, card1: card, system: { "Driver version": "6.7.0" } }))).toEqual([
    { vendor: "amd", model: "mi300x", count: 2, memory: 206_141_652_992 },
  ]);
});

test.each(["", "No devices were found", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", "{}", "null"])(
  "%j is no device",
  (text) => {
    expect([...parseNvidia(text), ...parseAscend(text), ...parseRocm(text)]).toEqual([]);
  },
);

test("a machine without the tools has none", async () => {
  expect(await detectDevices()).toEqual(expect.any(Array));
});
