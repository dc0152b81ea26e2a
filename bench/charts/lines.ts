import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** Where pictures go; not kept in the repository. Those in docs/pictures are copies of one run. */
const OUT = join(import.meta.dirname, "../out");

export interface Series {
  name: string;
  points: readonly (readonly [x: number, y: number])[];
  /** What is published or another's, beside ours. */
  dashed?: boolean;
}

export interface Axis {
  name: string;
  log?: boolean;
  min?: number;
  max?: number;
}

/** Draws lines as SVG into bench/out and says where. */
export function drawLines(file: string, title: string, x: Axis, y: Axis, series: readonly Series[]): void {
  const chart = init(null, null, { renderer: "svg", ssr: true, width: 820, height: 480 });
  chart.setOption({
    animation: false,
    backgroundColor: "#fff",
    title: { text: title, left: "center", top: 0, textStyle: { fontSize: 15 } },
    legend: { top: 30, itemGap: 14 },
    grid: { left: 70, right: 30, top: 90, bottom: 50 },
    xAxis: { ...axisOf(x), nameLocation: "middle", nameGap: 30 },
    yAxis: { ...axisOf(y), nameLocation: "middle", nameGap: 48 },
    series: series.map(({ name, points, dashed }) => ({
      type: "line",
      name,
      data: points,
      symbolSize: 6,
      showSymbol: points.length <= 20,
      lineStyle: { width: 2, type: dashed === true ? "dashed" : "solid" },
    })),
  });
  mkdirSync(OUT, { recursive: true });
  const path = join(OUT, `${file}.svg`);
  writeFileSync(path, chart.renderToSVGString());
  chart.dispose();
  console.error(`picture: ${path}`);
}

function axisOf({ name, log, min, max }: Axis): object {
  return { type: log === true ? "log" : "value", name, ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
}
