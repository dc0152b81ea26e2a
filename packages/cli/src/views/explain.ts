import type { ExplainView, PlanView } from "@muster/model";
import type { Colours } from "../session.ts";
import { renderFields } from "../table.ts";
import { abbreviate, clean, formatAge, formatBytes, formatNumber, plural } from "../text.ts";

type Explanation = Omit<ExplainView, "job" | "state"> & { state?: ExplainView["state"] };

/** Five lines: status; who is ahead; need against free; diagnosis; next step. */
export function renderExplanation(view: Explanation, name: string, now: number, colours: Colours): string {
  const since = view.since === null ? "" : ` for ${formatAge(view.since, now)}`;
  const reason = view.reason === null ? "" : `, ${colours.yellow(view.reason)}`;
  const eta = view.eta ? `; may start by ${view.eta.p50}, nine times in ten by ${view.eta.p90} (${clean(view.eta.basis)})` : "";
  // what does not wait, or could not be judged now, has no numbers
  const judged = view.need.length > 0;
  return renderFields([
    ["status", `${clean(name)}${view.state ? `: ${view.state}` : ""}${since}${reason} (judged ${formatAge(view.evaluated_at, now)} ago)`],
    [
      "ahead",
      !judged
        ? undefined
        : view.ahead.count === 0
          ? `nobody${eta}`
          : `${plural(view.ahead.count, "job")} with ${plural(view.ahead.devices, "device")}: ${abbreviate(view.ahead.top)}; place ${view.ahead.count + 1} in line${eta}`,
    ],
    ["need", !judged ? undefined : `${describeNeed(view)}; free: ${describeFree(view)}`],
    [
      "diagnosis",
      [
        clean(view.message),
        ...describeBlocks(view),
        ...view.filtered.map((one) => `${one.count} left out: ${clean(one.why)} (${abbreviate(one.sample_nodes)})`),
      ].join("; "),
    ],
    ["next", [clean(view.next_step), ...(view.would_fit_if.length > 0 ? [`It fits if ${view.would_fit_if.map(clean).join(", or if ")}.`] : [])].join(" ")],
  ]);
}

function describeNeed(view: Explanation): string {
  const parts = view.need.map((need) => {
    const devices =
      need.accelerators_per_node > 0
        ? `${need.accelerators_per_node} ${need.accelerator ?? "devices"} each`
        : need.share > 0
          ? `${need.share / 1000} of one ${need.accelerator ?? "device"}`
          : `${formatNumber(need.cpus)} cpus and ${formatBytes(need.memory)} each`;
    return `${need.role === "worker" ? "" : `${need.role}: `}${plural(need.nodes, "node")}, ${devices}${need.pool ? ` in pool ${need.pool}` : ""}`;
  });
  return [...new Set(parts)].join(" or ");
}

/** The blocks of the fabric that come nearest. */
function describeBlocks({ blocks }: Explanation): string[] {
  if (blocks.length === 0) return [];
  const [best] = blocks;
  const list = blocks.slice(0, 4).map(({ block, fits }) => `${clean(block)} ${fits}`);
  return [`of ${best!.needed} in one ${clean(best!.level)}: ${list.join(", ")}${blocks.length > 4 ? "..." : ""}`];
}

function describeFree(view: Explanation): string {
  if (view.free.length === 0) return "no pool that suits";
  return view.free
    .slice(0, 4)
    .map((free) => {
      const gangs = free.largest_gang
        .filter((gang) => gang.nodes > 0)
        .map((gang) => `${plural(gang.nodes, "node")}${gang.segment > 1 ? ` by segments of ${gang.segment}` : ""}`);
      const model = free.accelerator === free.pool ? "" : ` ${free.accelerator}`;
      return `${free.pool}: ${formatNumber(free.devices)}${model} devices, ${plural(free.whole_nodes, "whole node")}${gangs.length > 0 ? `, room for a gang of ${gangs.slice(0, 3).join(" or ")} of this job` : ""}`;
    })
    .join("; ");
}

/** What would happen on submission, and the placement where there is one. */
export function renderPlan(view: PlanView, name: string, now: number, colours: Colours): string {
  const verdict = view.fits_now
    ? colours.green("fits now")
    : view.could_ever_run
      ? colours.yellow(view.gives_way.count > 0 ? `would start when ${plural(view.gives_way.count, "job")} that gives way has stopped` : "would queue")
      : colours.red("could never run as the cluster is");
  const head = `${clean(name)}: ${verdict}\n`;
  const { placement } = view;
  const placed = placement
    ? renderFields([
        ["pool", `${placement.pool.join(", ")} (variant ${placement.variant})`],
        ...placement.workers
          .slice(0, 16)
          .map((worker): [string, string] => [worker.worker, `${worker.node}${worker.devices.length > 0 ? `, devices ${worker.devices.join(",")}` : ""}`]),
        ...(placement.workers.length > 16 ? [["...", `and ${placement.workers.length - 16} more (-o json shows all)`] as [string, string]] : []),
      ])
    : "";
  return head + placed + (view.explanation ? renderExplanation(view.explanation, name, now, colours) : "");
}
