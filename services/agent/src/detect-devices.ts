import type { DeviceVendor } from "@muster/model";
import { run } from "./slots.ts";

/*
 * Which accelerators this machine really has, as their makers' own tools tell. No tool, no answer, or an answer of another
 * form: no devices.
 */

export interface DeviceGroup {
  vendor: DeviceVendor;
  /** As in job specs: `h800`, `ascend-910b`, `mi300x`. */
  model: string;
  count: number;
  /** Bytes of one device. */
  memory: number;
}

const LIMIT_MS = 10_000;
const MIB = 1 << 20;

export async function detectDevices(): Promise<DeviceGroup[]> {
  const ask = (command: string, args: string[]): Promise<string> => run(command, args, { timeout: LIMIT_MS }).catch(() => "");
  const [nvidia, ascend, amd] = await Promise.all([
    ask("nvidia-smi", ["--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"]),
    ask("npu-smi", ["info"]),
    ask("rocm-smi", ["--showproductname", "--showmeminfo", "vram", "--json"]),
  ]);
  return [...parseNvidia(nvidia), ...parseAscend(ascend), ...parseRocm(amd)];
}

/** `nvidia-smi --query-gpu=index,name,memory.total --format=csv,noheader,nounits`: `0, NVIDIA H800, 81559` (MiB). */
export function parseNvidia(text: string): DeviceGroup[] {
  const devices = [...text.matchAll(/^\d+, *([^,]+), *(\d+)\s*$/gm)].map(([, name, memory]) => ({
    model: nvidiaModel(name as string),
    memory: Number(memory) * MIB,
  }));
  return group("nvidia", devices);
}

/** `npu-smi info`: a table of two lines a chip, name and health above, bus id and `used / total` HBM in MB below. */
export function parseAscend(text: string): DeviceGroup[] {
  const devices: { model: string; memory: number }[] = [];
  for (const match of text.matchAll(
    /^\|\s*\d+\s+(\d{3}\w*)\s*\|\s*\w+\s*\|[^\n]*\n\|[^|\n]*\|\s*[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d\s*\|([^\n]*)/gm,
  )) {
    const pairs = [...(match[2] as string).matchAll(/(\d+)\s*\/\s*(\d+)/g)];
    devices.push({ model: `ascend-${(match[1] as string).toLowerCase()}`, memory: Number(pairs.at(-1)?.[2] ?? 0) * MIB });
  }
  return group("ascend", devices);
}

/** `rocm-smi --showproductname --showmeminfo vram --json`: an object a card, keys as the tool prints them. */
export function parseRocm(text: string): DeviceGroup[] {
  let cards: Record<string, Record<string, string>>;
  try {
    cards = JSON.parse(text) as typeof cards;
  } catch {
    return [];
  }
  const devices = Object.entries(cards ?? {})
    .filter(([name, card]) => /^card\d+$/.test(name) && typeof card === "object")
    .map(([, card]) => {
      const field = (pattern: RegExp): string => Object.entries(card).find(([key]) => pattern.test(key))?.[1] ?? "";
      const series = field(/^card series$/i) || field(/^card model$/i);
      return { model: /\b(mi\d{2,3}\w*)/i.exec(series)?.[1]?.toLowerCase() ?? slug(series), memory: Number(field(/VRAM Total Memory/i)) || 0 };
    });
  return group("amd", devices);
}

function nvidiaModel(name: string): string {
  const short = name.replace(/^(NVIDIA|Tesla)\s+/i, "").replace(/^(GeForce|Tesla)\s+/i, "");
  return slug(/^([A-Z]{1,2}\d{2,3}[A-Z]?)\b/.exec(short)?.[1] ?? short);
}

function slug(name: string): string {
  return (
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, "-")
      .replaceAll(/^-|-$/g, "") || "unknown"
  );
}

function group(vendor: DeviceVendor, devices: { model: string; memory: number }[]): DeviceGroup[] {
  const groups = new Map<string, DeviceGroup>();
  for (const { model, memory } of devices) {
    const key = `${model} ${memory}`;
    const found = groups.get(key);
    if (found) found.count++;
    else groups.set(key, { vendor, model, count: 1, memory });
  }
  return [...groups.values()];
}
