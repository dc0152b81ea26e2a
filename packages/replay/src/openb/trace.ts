import { ShapeTable, typicalMix } from "@muster/placement";
import type { ExpectedShape, PackingNode, Shape } from "@muster/placement";
import { readTrace } from "../traces.ts";

export const OPENB_TRACES = ["default", "cpu250", "gpushare100", "gpuspec33", "multigpu50"] as const;
export type OpenbTrace = (typeof OPENB_TRACES)[number];

export interface OpenbArrivals {
  seed: number;
  /** Indexes into the pods, in order of arrival. */
  rows: Int32Array;
  /** Rank of each node: the lowest wins a tie. */
  ranks: Int32Array;
}

export interface Openb {
  nodes: PackingNode[];
  /** Shape of every pod of the list. */
  pods: Shape[];
  arrivals: OpenbArrivals[];
  /** The expected mix that the published FGD was given. */
  typical: ExpectedShape[];
}

/** Reads one of the openb mixes with its arrival orders. Throws TraceMissing. */
export function readOpenb(trace: OpenbTrace): Openb {
  const models = new Map<string, number>();
  const modelId = (name: string): number => {
    const known = models.get(name);
    if (known !== undefined) return known;
    models.set(name, models.size);
    return models.size - 1;
  };
  const nodes = readTrace("openb_node_list_gpu_node.csv.gz").map((row) => ({
    cpu: Number(row["cpu_milli"]),
    memory: Number(row["memory_mib"]),
    devices: Number(row["gpu"]),
    model: modelId(row["model"]!),
  }));
  const table = new ShapeTable();
  const typical = new Map<string, TypicalPod>();
  const pods = readTrace(`openb_pod_list_${trace}.csv.gz`).map((row) => {
    const devices = Number(row["num_gpu"]);
    const spec = row["gpu_spec"] ?? "";
    const models = spec === "" ? null : new Set(spec.split("|").map(modelId));
    const need = { cpu: Number(row["cpu_milli"]), devices, share: devices === 0 ? 0 : Number(row["gpu_milli"]), models };
    const key = `${need.cpu},${need.share},${devices},${spec}`;
    const seen = typical.get(key) ?? { shape: { ...need, memory: 0, id: typical.size }, spec, count: 0 };
    seen.count++;
    typical.set(key, seen);
    return table.intern({ ...need, memory: Number(row["memory_mib"]) });
  });
  const arrivals = readTrace(`openb_order_${trace}.csv.gz`).map((row) => ({
    seed: Number(row["seed"]),
    rows: Int32Array.from(row["rows"]!.split(" "), Number),
    ranks: Int32Array.from(row["node_rank"]!.split(" "), Number),
  }));
  return { nodes, pods, arrivals, typical: publishedMix([...typical.values()]) };
}

interface TypicalPod {
  shape: Shape;
  spec: string;
  count: number;
}

/** FGD's list of typical pods: memory left out, lists of models told apart by their spelling. */
function publishedMix(pods: readonly TypicalPod[]): ExpectedShape[] {
  const spec = new Map(pods.map((pod) => [pod.shape, pod.spec]));
  const counts = new Map(pods.map((pod) => [pod.shape, pod.count]));
  return typicalMix(counts, 0.95, (a, b) => {
    const bySpec = spec.get(a)! < spec.get(b)! ? -1 : 1;
    return a.cpu - b.cpu || a.share - b.share || a.devices - b.devices || bySpec;
  });
}
