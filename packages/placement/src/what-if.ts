import type { State } from "./state.ts";
import type { ClusterChange, NodeInput, QueueInput } from "./types.ts";

/** Changes the cluster for a question, and gives back the way to undo it. What cannot be changed so throws, with nothing changed. */
export function changeCluster(state: State, change: ClusterChange): () => void {
  const undo: (() => void)[] = [];
  const revert = (): void => {
    for (const step of undo.splice(0).reverse()) step();
  };
  try {
    for (const id of change.removeJobs ?? []) undo.push(removeJob(state, id));
    for (const node of nodesOf(state, change)) undo.push(putNode(state, node));
    for (const queue of change.queues ?? []) undo.push(putQueue(state, queue));
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

function putNode(state: State, node: NodeInput): () => void {
  const before = state.nodeInputs.get(node.id);
  state.putNode(node);
  return () => (before === undefined ? state.removeNode(node.id) : state.putNode(before));
}

/** Its jobs keep their places in line: whether it is paused is asked anew where it matters. */
function putQueue(state: State, input: QueueInput): () => void {
  const before = state.quota.queues.get(input.id)?.input;
  if (before === undefined) throw new Error(`queue ${input.id}: not known`);
  const { parent: _, ...changed } = input;
  state.quota.put({ ...changed, ...(before.parent === undefined ? {} : { parent: before.parent }) });
  return () => void state.quota.put(before);
}

/** What it holds is free; one that waits is not in line. */
function removeJob(state: State, id: string): () => void {
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
