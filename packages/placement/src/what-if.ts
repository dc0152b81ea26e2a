import type { NodeInput } from "./cluster-input.ts";
import { putNode, removeNode } from "./node-inputs.ts";
import type { QueueInput } from "./queue-input.ts";
import type { State } from "./state.ts";

/** A changed cluster for a what-if. */
export interface ClusterChange {
  addNodes?: readonly NodeInput[];
  removeNodes?: readonly string[];
  updateNodes?: readonly NodeInput[];
  /** Taken as schedulable, or not, whatever they are now. */
  returnNodes?: readonly string[];
  cordonNodes?: readonly string[];
  /** So many more like a node there is, beside it in the fabric and empty. Each is named `node+1`, `node+2`... */
  addLike?: readonly { node: string; count: number }[];
  /** Running or waiting. */
  removeJobs?: readonly string[];
  /** In place of what is known of them; their parents stay. */
  queues?: readonly QueueInput[];
}

/** Changes the cluster for a question, and gives back the way to undo it. What cannot be changed so throws, with nothing changed. */
export function changeCluster(state: State, change: ClusterChange): () => void {
  const undo: (() => void)[] = [];
  const revert = (): void => {
    for (const step of undo.splice(0).reverse()) step();
  };
  try {
    for (const id of change.removeJobs ?? []) undo.push(withoutJob(state, id));
    for (const node of nodesOf(state, change)) undo.push(withNode(state, node));
    for (const queue of change.queues ?? []) undo.push(withQueue(state, queue));
  } catch (error) {
    revert();
    throw error;
  }
  return revert;
}

/** Nodes as they would be, each after what was said of it before. */
function* nodesOf(state: State, change: ClusterChange): Generator<NodeInput> {
  const known = (id: string): NodeInput => {
    const node = state.nodeInputs.get(id);
    if (node === undefined) throw new Error(`node ${id}: not known`);
    return node;
  };
  yield* change.addNodes ?? [];
  yield* change.updateNodes ?? [];
  for (const { node: like, count } of change.addLike ?? []) {
    const { heldDevices: _, heldCpuMillis: __, heldMemoryBytes: ___, health: ____, ...empty } = known(like);
    for (let i = 1, added = 0; added < count; i++) {
      if (state.nodeInputs.has(`${like}+${i}`)) continue;
      yield { ...empty, id: `${like}+${i}`, schedulable: true };
      added++;
    }
  }
  for (const id of change.returnNodes ?? []) {
    const { health: _, ...node } = known(id);
    yield { ...node, schedulable: true };
  }
  for (const id of change.cordonNodes ?? []) yield { ...known(id), schedulable: false, health: "cordoned" };
  for (const id of change.removeNodes ?? []) yield { ...known(id), schedulable: false, health: "removed" };
}

function withNode(state: State, node: NodeInput): () => void {
  const before = state.nodeInputs.get(node.id);
  putNode(state, node);
  return () => (before === undefined ? removeNode(state, node.id) : putNode(state, before));
}

/** Its jobs keep their places in line: whether it is paused is asked anew where it matters. */
function withQueue(state: State, input: QueueInput): () => void {
  const before = state.quota.queues.get(input.id)?.input;
  if (before === undefined) throw new Error(`queue ${input.id}: not known`);
  const { parent: _, ...changed } = input;
  state.quota.put({ ...changed, ...(before.parent === undefined ? {} : { parent: before.parent }) });
  return () => void state.quota.put(before);
}

/** What it holds is free; one that waits is not in line. */
function withoutJob(state: State, id: string): () => void {
  const job = state.get(id);
  const { placement, usage, entry } = job;
  if (entry !== null) {
    entry.lane.remove(job);
    return () => entry.lane.add(job);
  }
  if (placement === null) return () => {};
  state.placer.untake(placement);
  state.quota.refund(job.queue, usage);
  return () => {
    state.placer.take(placement);
    state.quota.charge(job.queue, usage);
  };
}
