import type { KubernetesConfig } from "@muster/model";
import { answers, declaredOff, type NodeView } from "./node-view.ts";
import type { PodView } from "./pod-state.ts";
import type { Worker } from "./worker.ts";

/* What has gone on too long, or is over though no kubelet says so. Pure. */

export type Verdict =
  /** Nothing of it lives any more. */
  | { kind: "over"; reason: string }
  /** It won't come up. */
  | { kind: "hopeless"; reason: string };

export type Judged = Pick<Worker, "alive" | "state" | "pod" | "end" | "stop" | "givenUp" | "stepSince" | "ranIn" | "missingSince">;
type Limits = Pick<KubernetesConfig, "bind_timeout" | "pull_timeout" | "start_timeout">;

/** How long a worker whose pod was removed by force may need to be ended by its kubelet, and a node to say how its pods ended. */
const MISSING_MS = 60_000;

/** Whether its node was started anew since it ran there. */
export function isOfEarlierBoot({ ranIn }: Pick<Judged, "ranIn">, node: NodeView | undefined): boolean {
  return ranIn !== undefined && node !== undefined && node.bootId !== "" && node.bootId !== ranIn;
}

export function judge(worker: Judged, node: NodeView | undefined, limits: Limits, now: number): Verdict | undefined {
  const { pod } = worker;
  if (!worker.alive || !pod) return undefined;
  return (pod.bound && !worker.end ? judgeBound(worker, node, now) : undefined) ?? judgeStart(worker, pod, node, limits, now);
}

function judgeBound(worker: Judged, node: NodeView | undefined, now: number): Verdict | undefined {
  if (!node) return undefined;
  if (declaredOff(node)) return { kind: "over", reason: "its node is declared out of service" };
  // the kubelet of a node that is back says itself how its pods ended; one that doesn't has forgotten them
  if (worker.missingSince === undefined || !answers(node) || now - worker.missingSince <= MISSING_MS) return undefined;
  return { kind: "over", reason: isOfEarlierBoot(worker, node) ? "its node was started anew" : "its pod was removed by force" };
}

function judgeStart(worker: Judged, pod: PodView, node: NodeView | undefined, limits: Limits, now: number): Verdict | undefined {
  if (worker.state !== "starting" || worker.givenUp !== undefined || worker.stop || pod.deleting || pod.state.kind !== "waiting") return undefined;
  const waited = (now - worker.stepSince) / 1000;
  const { step, problem, hopeless, pulling } = pod.state;
  if (step === "binding") {
    if (waited <= limits.bind_timeout) return undefined;
    return { kind: "hopeless", reason: `it was not bound to its node${problem === undefined ? "" : `: ${problem}`}` };
  }
  if (hopeless || (pulling && waited > limits.pull_timeout)) return { kind: "hopeless", reason: problem ?? "its container can't be made" };
  // a node that doesn't answer may be starting it right now
  if (waited <= limits.start_timeout || !node || !answers(node)) return undefined;
  return { kind: "hopeless", reason: `its container didn't start within ${limits.start_timeout} s` };
}
