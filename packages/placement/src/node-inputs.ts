import type { NodeInput } from "./cluster-input.ts";
import { WHOLE, type Holding } from "./nodes.ts";
import type { State } from "./state.ts";

export function putNode(state: State, input: NodeInput): void {
  const at = `node ${input.id}`;
  const whole = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
  if (!whole(input.devices) || input.devices > 4096) throw new Error(`${at}: devices must be 0 to 4096`);
  if (!(input.cpuMillis >= 0) || !(input.memoryBytes >= 0)) throw new Error(`${at}: cpuMillis and memoryBytes must be 0 or more`);
  const { nodes } = state.placer;
  const known = nodes.names.find(input.id);
  if (known >= 0) for (const hold of state.nodeHolds.get(known) ?? []) nodes.give(hold);
  if (known >= 0 && nodes.members[known]! > 0 && input.devices < nodes.deviceCount[known]!) {
    throw new Error(`${at}: cannot lose devices while jobs hold some; hold the missing ones instead`);
  }
  state.empty.put(state.nodeInputs.get(input.id), input);
  state.placer.putNode(input);
  const slot = nodes.names.find(input.id);
  const holds: Holding[] = [];
  for (const [device, share] of (input.heldDevices ?? []).entries()) {
    if (device >= input.devices || !whole(share) || share > WHOLE) throw new Error(`${at}: heldDevices[${device}] must be 0 to 1000 of a device it has`);
    if (share > 0) holds.push({ node: slot, devices: [device], share, cpuMillis: 0, memoryBytes: 0 });
  }
  if ((input.heldCpuMillis ?? 0) > 0 || (input.heldMemoryBytes ?? 0) > 0) {
    holds.push({ node: slot, devices: [], share: 0, cpuMillis: input.heldCpuMillis ?? 0, memoryBytes: input.heldMemoryBytes ?? 0 });
  }
  for (const hold of holds) nodes.take(hold);
  state.nodeHolds.set(slot, holds);
  state.nodeInputs.set(input.id, input);
  state.capacityChanged = true;
}

export function removeNode(state: State, id: string): void {
  const { nodes } = state.placer;
  const slot = nodes.names.find(id);
  if (slot < 0) throw new Error(`node ${id}: not known`);
  if (nodes.members[slot]! > (state.nodeHolds.get(slot)?.length ?? 0)) throw new Error(`node ${id}: still holds members of a job`);
  for (const hold of state.nodeHolds.get(slot) ?? []) nodes.give(hold);
  state.nodeHolds.delete(slot);
  state.nodeInputs.delete(id);
  state.empty.remove(id);
  state.placer.removeNode(id);
  state.capacityChanged = true;
}
