/** Where a gang may stand: nodes with equal numbers of devices, gangs of whole devices. */
export interface Floor {
  readonly nodeDevices: number;
  readonly free: Int32Array;
}

export interface Standing {
  nodes: number[];
  /** Devices on each of the nodes. */
  devices: number[];
}

/**
 * Best fit: one node for a gang that fits into one, else whole idle nodes and the tightest one for the rest.
 * Null where there is no room. `free` may be any account of free devices per node.
 */
export function stand(free: Int32Array, nodeDevices: number, devices: number): Standing | null {
  if (devices <= nodeDevices) {
    const node = tightest(free, devices, []);
    return node < 0 ? null : { nodes: [node], devices: [devices] };
  }
  const wanted = Math.floor(devices / nodeDevices);
  const nodes: number[] = [];
  for (let n = 0; n < free.length && nodes.length < wanted; n++) if (free[n] === nodeDevices) nodes.push(n);
  if (nodes.length < wanted) return null;
  const counts = nodes.map(() => nodeDevices);
  const rest = devices % nodeDevices;
  if (rest > 0) {
    const node = tightest(free, rest, nodes);
    if (node < 0) return null;
    nodes.push(node);
    counts.push(rest);
  }
  return { nodes, devices: counts };
}

function tightest(free: Int32Array, devices: number, taken: readonly number[]): number {
  let best = -1;
  for (let n = 0; n < free.length; n++) {
    const room = free[n]!;
    if (room >= devices && (best < 0 || room < free[best]!) && !taken.includes(n)) {
      best = n;
      if (room === devices) break;
    }
  }
  return best;
}
