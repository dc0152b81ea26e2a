import type { AccountTotal, AccountView } from "@muster/model";
import type { Colours } from "../session.ts";
import { renderFields, renderTable } from "../table.ts";
import { clean, formatDuration, plural } from "../text.ts";

const percent = (part: number | null): string => (part === null ? "-" : `${(part * 100).toFixed(1)} %`);
const hours = (value: number): string => value.toFixed(2);

/** An account for people: the sum, each queue, how long recoveries took, and which faults cost most. */
export function renderAccount(view: AccountView, colours: Colours): string {
  const { total, queues, recoveries, faults } = view;
  const head = `${colours.bold("since")} ${view.since}, ${plural(total.jobs, "job")}${view.partial ? " (the newest; there were more)" : ""}\n`;
  const sum = renderFields([
    ["ETTR", `${percent(total.ettr)} (${hours(total.productive_device_hours)} of ${hours(total.wall_device_hours)} device-hours productive)`],
    ["goodput", percent(total.goodput)],
    ["wasted", wasted(total)],
    [
      "recovered",
      recoveries.total
        ? `${recoveries.total.count} times, p50 ${formatDuration(recoveries.total.p50)}, p99 ${formatDuration(recoveries.total.p99)}`
        : undefined,
    ],
  ]);
  const parts = [head + sum];
  if (queues.length > 0)
    parts.push(
      renderTable<AccountView["queues"][number]>(
        [
          { title: "QUEUE", value: (queue) => queue.queue },
          { title: "JOBS", value: (queue) => String(queue.jobs), right: true },
          { title: "ETTR", value: (queue) => percent(queue.ettr), right: true },
          { title: "GOODPUT", value: (queue) => percent(queue.goodput), right: true },
          { title: "WASTED", value: (queue) => wasted(queue) ?? "-" },
        ],
        queues,
      ),
    );
  const phases = Object.entries(recoveries.phases);
  if (phases.length > 0)
    parts.push(
      renderTable<(typeof phases)[number]>(
        [
          { title: "PHASE", value: ([phase]) => phase },
          { title: "P50", value: ([, times]) => formatDuration(times.p50), right: true },
          { title: "P99", value: ([, times]) => formatDuration(times.p99), right: true },
          { title: "TIMES", value: ([, times]) => String(times.count), right: true },
        ],
        phases,
      ),
    );
  if (faults.length > 0)
    parts.push(
      renderTable<AccountView["faults"][number]>(
        [
          { title: "RULE", value: (fault) => clean(fault.rule) },
          { title: "CLASS", value: (fault) => clean(fault.class) },
          { title: "TIMES", value: (fault) => String(fault.attempts), right: true },
          { title: "DEVICE-HOURS", value: (fault) => hours(fault.device_hours), right: true },
        ],
        faults,
      ),
    );
  return parts.join("\n");
}

function wasted(total: AccountTotal): string | undefined {
  const parts = Object.entries(total.wasted_device_hours)
    .filter(([, value]) => value >= 0.005)
    .sort((a, b) => b[1] - a[1])
    .map(([cause, value]) => `${hours(value)} by ${clean(cause)}`);
  return parts.length > 0 ? `device-hours: ${parts.join(", ")}` : undefined;
}
