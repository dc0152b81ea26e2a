import { invented, phillySeptember, simulate, summarise, type TraceJob } from "@muster/replay";
import { emptyPart, type Part } from "./part.ts";
import { ENTRIES } from "./schedulers.ts";

const INVENTED = 6;

/** Mixes beside the named traces, some of which were looked at while weights were chosen: Philly's September, and drawn ones. */
export const FURTHER: readonly { name: string; nodes: number; jobs: () => TraceJob[] }[] = [
  { name: "Philly September, 320 devices", nodes: 40, jobs: phillySeptember },
  ...Array.from({ length: INVENTED }, (_, i) => ({ name: `drawn mix ${i + 1}, 64 devices`, nodes: 8, jobs: () => invented(i + 1, 64) })),
];

/** Muster over the best of its class by average JCT in one of them. */
export function furtherMix({ name, nodes, jobs }: (typeof FURTHER)[number]): Part {
  const part = emptyPart();
  const trace = jobs();
  const columns = (["nothing", "limits", "runtimes"] as const).map((knowledge) => {
    const found = ENTRIES.filter((entry) => entry.class === knowledge).map((entry) => {
      const s = summarise(simulate(trace, entry.make(nodes), { nodes, nodeDevices: 8, firstStartCosts: false }));
      return { name: entry.name, average: s.averageJct, p99: s.p99Jct };
    });
    const ours = found.find((one) => one.name === "Muster")!;
    const best = found.filter((one) => one !== ours).reduce((a, b) => (b.average < a.average ? b : a));
    const ratio = { knowledge, average: ours.average / best.average, p99: ours.p99 / best.p99 };
    part.ratios.push(ratio);
    return `${knowledge} ${ratio.average.toFixed(3)} ${ratio.p99.toFixed(3)} (${best.name})`;
  });
  part.lines.push(`  ${name.padEnd(33)}${columns.map((column) => column.padEnd(44)).join("")}`);
  return part;
}
