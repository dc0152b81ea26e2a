import type { PoolView } from "@muster/model";
import { count, decimal } from "../lib/format.ts";

/**
 * Total > healthy > schedulable > held in one bar: the lighter the part, the less it can be used. Hatched is out of order.
 */
export function Funnel({ devices, name }: { devices: PoolView["devices"]; name: string }): React.ReactNode {
  const { total, healthy, schedulable, held } = devices;
  if (total === 0) return <span className="faint">no devices</span>;
  const part = (value: number): string => `${Math.min(100, (value / total) * 100)}%`;
  return (
    <span
      className="funnel"
      role="img"
      aria-label={`${name}: ${count(total)} devices, ${count(healthy)} healthy, ${count(schedulable)} schedulable, ${decimal(held)} held`}
      title={`${count(total)} total · ${count(healthy)} healthy · ${count(schedulable)} schedulable · ${decimal(held)} held`}
    >
      <i className="healthy" style={{ width: part(healthy) }} />
      <i className="schedulable" style={{ width: part(schedulable) }} />
      <i className="held" style={{ width: part(held) }} />
    </span>
  );
}
