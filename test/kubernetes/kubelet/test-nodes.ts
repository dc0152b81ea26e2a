import type { ControlPlane } from "../control-plane/control-plane.ts";
import { Kubelet, type NodeOptions } from "./kubelet.ts";
import { PodNames } from "./pod-names.ts";

/** Starts nodes on a control plane, all in one network of pods. */
export async function startNodes(plane: ControlPlane, nodes: readonly NodeOptions[]): Promise<Kubelet[]> {
  const names = new PodNames(plane.dir);
  return Promise.all(nodes.map((node) => Kubelet.start(plane, names, node)));
}
