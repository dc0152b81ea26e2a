import type { NodeView, PoolView, ProjectView, QueueView } from "@muster/model";
import type { Shape } from "../print.ts";
import type { Colours, Session } from "../session.ts";
import { renderFields } from "../table.ts";
import { abbreviate, clean, formatAge, formatBytes, formatNumber } from "../text.ts";

/** Devices allocated, idle, otherwise unusable, and in all. */
export function nodeDevices(node: NodeView): string {
  const allocated = node.held.filter((held) => held > 0).length;
  const rest = node.devices - allocated;
  return node.schedulable ? `${allocated}/${rest}/0/${node.devices}` : `${allocated}/0/${rest}/${node.devices}`;
}

export function nodeShape({ colours, now }: Session): Shape<NodeView> {
  return {
    name: (node) => node.name,
    columns: [
      { title: "NODE", value: (node) => node.name },
      { title: "POOL", value: (node) => node.pool },
      { title: "LEAF", value: (node) => node.fabric.findLast((part) => part !== node.name) ?? "-" },
      { title: "HEALTH", value: (node) => paintHealth(colours, node) },
      { title: "SCHED", value: (node) => (node.schedulable ? "yes" : colours.yellow("no")) },
      { title: "DEV(A/I/O/T)", value: nodeDevices, right: true },
      { title: "FAULTS", value: (node) => describeFaults(node) ?? "-", wide: true },
      { title: "SPARE", value: (node) => (node.spare ? "yes" : "-"), wide: true },
      { title: "FABRIC", value: (node) => node.fabric.join("/"), wide: true },
      { title: "ACCELERATOR", value: (node) => node.accelerator, wide: true },
      { title: "CPUS", value: (node) => `${formatNumber(node.cpus_held)}/${formatNumber(node.cpus)}`, wide: true, right: true },
      { title: "MEMORY", value: (node) => `${formatBytes(node.memory_held)}/${formatBytes(node.memory)}`, wide: true, right: true },
      {
        title: "SEEN",
        value: (node) => (node.reachable ? formatAge(node.last_seen, now) : colours.red(`silent ${formatAge(node.last_seen, now)}`)),
        wide: true,
        right: true,
      },
      { title: "JOBS", value: (node) => abbreviate(node.jobs) },
      { title: "REASON", value: (node) => describeHealth(node) },
      { title: "SINCE", value: (node) => formatAge(node.health_since, now), right: true },
    ],
  };
}

/** Within 28 days; a node with many is a lemon. */
function describeFaults({ faults }: NodeView): string | undefined {
  return faults ? `${formatNumber(faults.score)}${faults.repairs > 0 ? `, repaired ${faults.repairs} times` : ""}` : undefined;
}

function describeHealth(node: NodeView): string {
  const reason = node.health_reason ? clean(node.health_reason) : node.reachable ? "" : "unreachable";
  return node.health_actor && reason ? `${reason} (${clean(node.health_actor)})` : reason;
}

function paintHealth(colours: Colours, node: NodeView): string {
  if (node.health === "ready") return node.reachable ? colours.green("ready") : colours.red("ready, silent");
  return node.health === "retired" ? colours.dim(node.health) : colours.yellow(node.health);
}

export function renderNode(node: NodeView, now: number, colours: Colours): string {
  const reason = describeHealth(node);
  return (
    `${colours.bold(node.name)}  ${colours.dim(`pool ${node.pool}`)}\n` +
    renderFields([
      ["health", `${paintHealth(colours, node)} for ${formatAge(node.health_since, now)}${reason ? `: ${reason}` : ""}`],
      ["schedulable", node.schedulable ? (node.spare ? "yes, a spare: only work that is preemptible, or comes back from a fault" : "yes") : "no"],
      ["faults, 28 d", describeFaults(node)],
      ["drain until", node.drain_deadline ?? undefined],
      ["reachable", node.reachable ? `yes, seen ${formatAge(node.last_seen, now)} ago` : `no, last seen ${formatAge(node.last_seen, now)} ago`],
      ["devices", `${node.devices} ${node.accelerator} (${nodeDevices(node)} allocated/idle/other/total)`],
      ["held", node.held.map((held) => (held === 0 ? "-" : formatNumber(held / 1000))).join(" ")],
      ["cpus", `${formatNumber(node.cpus_held)} of ${formatNumber(node.cpus)} held`],
      ["memory", `${formatBytes(node.memory_held)} of ${formatBytes(node.memory)} held`],
      ["fabric", node.fabric.join(" / ")],
      ["address", clean(node.address)],
      [
        "labels",
        Object.entries(node.labels)
          .map(([key, value]) => clean(`${key}=${value}`))
          .join(", "),
      ],
      ["jobs", node.jobs.map(clean).join(", ")],
    ])
  );
}

function poolDevices({ devices }: PoolView): string {
  const held = Math.ceil(devices.held);
  const idle = Math.max(0, devices.schedulable - held);
  return `${held}/${idle}/${Math.max(0, devices.total - held - idle)}/${devices.total}`;
}

export function poolShape({ colours }: Session): Shape<PoolView> {
  return {
    name: (pool) => pool.name,
    columns: [
      { title: "POOL", value: (pool) => pool.name },
      { title: "ACCELERATOR", value: (pool) => pool.accelerator },
      { title: "ENGINE", value: (pool) => pool.engine },
      { title: "NODES", value: (pool) => `${pool.nodes.schedulable}/${pool.nodes.total}`, right: true },
      { title: "DEV(A/I/O/T)", value: poolDevices, right: true },
      { title: "HEALTHY", value: (pool) => healthyShare(pool, colours), right: true },
      { title: "LARGEST-GANG", value: describeGangs },
      { title: "JOBS", value: (pool) => String(pool.running_jobs), right: true },
      { title: "SPARES", value: describeSpares, wide: true },
      { title: "SITE", value: (pool) => pool.site, wide: true },
      { title: "OWNERSHIP", value: (pool) => pool.ownership, wide: true },
      { title: "PRICE/H", value: (pool) => formatNumber(pool.price_per_device_hour), wide: true, right: true },
    ],
  };
}

/** Held back, of those lent, and how many its failures and repairs call for. */
function describeSpares({ spares, spare_state: state }: PoolView): string {
  if (!state) return "-";
  return `${state.held_back}${state.lent > 0 ? ` (${state.lent} lent)` : ""} of ${spares}, ${state.advised} advised`;
}

function healthyShare(pool: PoolView, colours: Colours): string {
  if (pool.nodes.total === 0) return "-";
  const share = Math.floor((100 * pool.nodes.healthy) / pool.nodes.total);
  return share === 100 ? "100%" : colours.yellow(`${share}%`);
}

/** Nodes that a gang could get now, by the size of its segments. */
function describeGangs(pool: PoolView): string {
  return pool.largest_gang.map((gang) => `${gang.segment}:${gang.nodes}`).join(" ");
}

export function queueShape({ colours }: Session): Shape<QueueView> {
  return {
    name: (queue) => queue.name,
    columns: [
      { title: "QUEUE", value: (queue) => queue.name },
      { title: "PARENT", value: (queue) => queue.parent ?? "-" },
      { title: "NOMINAL", value: (queue) => describeAmounts(queue.nominal) },
      { title: "WAITING", value: (queue) => `${queue.waiting.jobs} (${queue.waiting.devices} dev)`, right: true },
      { title: "ACTIVE", value: (queue) => `${queue.active.jobs} (${queue.active.devices} dev)`, right: true },
      { title: "ORDER", value: (queue) => queue.order },
      { title: "WEIGHT", value: (queue) => formatNumber(queue.weight), right: true },
      { title: "BORROW", value: (queue) => describeAmounts(queue.borrow_limit), wide: true },
      { title: "LEND", value: (queue) => describeAmounts(queue.lend_limit), wide: true },
      { title: "PROJECTS", value: (queue) => abbreviate(queue.projects), wide: true },
      { title: "PAUSED", value: (queue) => (queue.paused ? colours.yellow("yes") : "no") },
    ],
  };
}

function describeAmounts(amounts: Readonly<Record<string, number>> | undefined): string {
  return Object.entries(amounts ?? {})
    .map(([what, count]) => `${clean(what)}:${formatNumber(count)}`)
    .join(" ");
}

export function projectShape(): Shape<ProjectView> {
  return {
    name: (project) => project.name,
    columns: [
      { title: "PROJECT", value: (project) => project.name },
      { title: "MEMBERS", value: (project) => abbreviate(Object.entries(project.members).map(([who, role]) => `${who} (${role})`)) },
      { title: "DESCRIPTION", value: (project) => clean(project.description) },
    ],
  };
}
