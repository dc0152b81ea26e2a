import type { Knowledge } from "@muster/placement/ordering/service-order";
import type { Series } from "../charts/lines.ts";

/** What one part of the benchmark found; it is made in a worker and told as a whole. */
export interface Part {
  lines: string[];
  figures: Record<string, number>;
  peers: Record<string, number>;
  /** For the pictures that several parts share. */
  gavel: GavelPoint[];
  cdf: Series[];
  ratios: Ratio[];
}

/** Average JCT in hours in Gavel's mix. */
export interface GavelPoint {
  trace: "single" | "multiple";
  policy: string;
  load: number;
  hours: number;
  published: boolean;
}

/** Muster over the best of its class in one mix. */
export interface Ratio {
  knowledge: Knowledge;
  average: number;
  p99: number;
}

export function emptyPart(): Part {
  return { lines: [], figures: {}, peers: {}, gavel: [], cdf: [], ratios: [] };
}
