import type { NodeView } from "@muster/model";
import { shares } from "../../lib/format.ts";
import { freeDevices, heldShares } from "../../lib/nodes.ts";

/** One cell a device, filled by how much of it is held. */
export function Occupancy({
  node,
  large = false,
}: {
  node: Pick<NodeView, "name" | "held" | "schedulable" | "devices" | "cpus" | "cpus_held">;
  large?: boolean;
}): React.ReactNode {
  if (node.held.length === 0) {
    const part = node.cpus > 0 ? node.cpus_held / node.cpus : 0;
    return (
      <span
        className="devices"
        role="img"
        aria-label={`${node.name}: no devices, ${node.cpus_held} of ${node.cpus} cpus held`}
        title={`${node.cpus_held} of ${node.cpus} cpus held`}
      >
        <i className="cpu" style={{ ["--held" as string]: `${part * 100}%` }} />
      </span>
    );
  }
  const text = `${shares(heldShares(node))} of ${node.held.length} held, ${freeDevices(node)} free`;
  // Two rows at most in a list; cells shrink before they would not fit.
  const across = large ? node.held.length : node.held.length > 8 ? Math.ceil(node.held.length / 2) : node.held.length;
  const cell = Math.max(2, Math.min(12, Math.floor(124 / across) - 2));
  return (
    <span
      className={large ? "devices large" : "devices"}
      data-open={node.schedulable}
      role="img"
      aria-label={`${node.name}: ${text}`}
      title={text}
      style={
        large ? undefined : { width: across * (cell + 2), ["--cell" as string]: `${cell}px`, ["--tall" as string]: node.held.length > 8 ? "10px" : "14px" }
      }
    >
      {node.held.map((held, index) => (
        <i key={index} style={{ ["--held" as string]: `${held / 10}%` }} />
      ))}
    </span>
  );
}
