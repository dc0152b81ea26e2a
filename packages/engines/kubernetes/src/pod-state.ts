import type { WorkerKey } from "@muster/engine";
import { signalName } from "@muster/output";
import type { KubeObject } from "./api.ts";
import * as names from "./names.ts";
import type { WorkerNotes } from "./pod.ts";

/*
 * What a pod of ours says of its worker. Pure. Only what a kubelet reported counts as an end: a phase that the control plane
 * wrote by itself, because a node is gone, tells nothing about the processes there.
 */

export interface PodView {
  name: string;
  uid: string;
  key: WorkerKey;
  /** Its node as Muster calls it, and the boot of it that it was made for. */
  node: string;
  boot: string;
  bound: boolean;
  gated: boolean;
  gang: number | undefined;
  control: number;
  stop: StopNote | undefined;
  notes: WorkerNotes;
  deleting: boolean;
  /** Milliseconds since 1970. */
  createdAt: number;
  state: PodState;
}

export interface StopNote {
  /** Milliseconds since 1970. */
  at: number;
  grace: number;
  /** Whether a checkpoint was asked for. */
  asked?: boolean;
}

export type PodState =
  | { kind: "gated" }
  /** `problem`: why it isn't further, as the cluster says it; `hopeless`: it won't come further by itself. */
  | { kind: "waiting"; step: "binding" | "starting"; problem?: string; hopeless?: boolean; pulling?: boolean }
  | { kind: "running"; since: number }
  | { kind: "ended"; exitCode: number | null; signal: string | null; oom: boolean; reason?: string }
  /** The kubelet refused it, or it was removed before it ran: nothing of it ever lived. */
  | { kind: "refused"; reason: string }
  | { kind: "lost"; reason: string }
  /** The control plane gave it up; its node has confirmed nothing. */
  | { kind: "unconfirmed"; reason: string };

interface Status {
  phase?: string;
  reason?: string;
  message?: string;
  conditions?: { type: string; status: string; reason?: string; message?: string }[];
  containerStatuses?: ContainerStatus[];
  initContainerStatuses?: ContainerStatus[];
}

interface ContainerStatus {
  name: string;
  state?: {
    waiting?: { reason?: string; message?: string };
    running?: { startedAt?: string };
    terminated?: { exitCode: number; signal?: number; reason?: string; message?: string; startedAt?: string };
  };
}

const PULL = new Set(["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"]);
const HOPELESS = new Set(["InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"]);
const FAILING = new Set(["CreateContainerError", "RunContainerError", "CreatePodSandboxError", "ContainerCannotRun"]);

/** Undefined where the object is none of our workers. */
export function readPod(object: KubeObject): PodView | undefined {
  const { metadata } = object;
  const key = names.keyOfPod(metadata);
  const annotations = metadata.annotations ?? {};
  const notes = parse<WorkerNotes>(annotations[names.WORKER]);
  if (!key || !notes) return undefined;
  const spec = object["spec"] as { nodeName?: string; schedulingGates?: unknown[] };
  const bound = spec.nodeName !== undefined && spec.nodeName !== "";
  const gated = (spec.schedulingGates ?? []).length > 0;
  const deleting = metadata["deletionTimestamp"] !== undefined;
  const [control] = (annotations[names.CONTROL] ?? "0").split(" ");
  return {
    name: metadata.name as string,
    uid: metadata.uid ?? "",
    key,
    node: annotations["muster.dev/node"] ?? "",
    boot: annotations["muster.dev/boot"] ?? "",
    bound,
    gated,
    gang: annotations[names.GANG] === undefined ? undefined : Number(annotations[names.GANG]),
    control: Number(control) || 0,
    stop: parse<StopNote>(annotations[names.STOP]),
    notes,
    deleting,
    createdAt: timeOf(metadata["creationTimestamp"]),
    state: stateOf(object["status"] ?? {}, { bound, gated, deleting }),
  };
}

function stateOf(status: Status, { bound, gated, deleting }: { bound: boolean; gated: boolean; deleting: boolean }): PodState {
  const worker = status.containerStatuses?.find((one) => one.name === "worker")?.state;
  const source = status.initContainerStatuses?.find((one) => one.name === "source")?.state;
  const terminal = status.phase === "Succeeded" || status.phase === "Failed";
  if (!bound) {
    // nothing but its node's kubelet could have run it
    if (deleting || terminal) return { kind: "lost", reason: "never started: it was removed before it had a node" };
    if (gated) return { kind: "gated" };
    const scheduled = status.conditions?.find((one) => one.type === "PodScheduled");
    return { kind: "waiting", step: "binding", ...(scheduled?.message && { problem: `${scheduled.reason ?? "Unschedulable"}: ${scheduled.message}` }) };
  }
  if (worker?.terminated) return ended(worker.terminated, status);
  if (source?.terminated && source.terminated.exitCode !== 0)
    return { kind: "refused", reason: `source_failed: the checkout ended with code ${source.terminated.exitCode}` };
  if (terminal) {
    const disruption = status.conditions?.find((one) => one.type === "DisruptionTarget" && one.status === "True");
    const said = [status.reason ?? disruption?.reason, status.message ?? disruption?.message].filter(Boolean).join(": ");
    if (disruption?.reason === "DeletionByPodGC") return { kind: "unconfirmed", reason: said };
    // a container that was seen to run and whose end nobody saw
    if (worker?.running) return { kind: "lost", reason: said || "its end was missed" };
    return { kind: "refused", reason: said || "the kubelet refused it and said nothing more" };
  }
  if (worker?.running) return { kind: "running", since: Date.parse(worker.running.startedAt ?? "") || 0 };
  const waiting = worker?.waiting?.reason === "PodInitializing" ? (source?.waiting ?? worker.waiting) : worker?.waiting;
  const reason = waiting?.reason ?? "";
  const problem = [reason, waiting?.message].filter(Boolean).join(": ");
  const known = PULL.has(reason) || HOPELESS.has(reason) || FAILING.has(reason);
  return {
    kind: "waiting",
    step: "starting",
    ...(known && { problem }),
    ...(HOPELESS.has(reason) && { hopeless: true }),
    ...((PULL.has(reason) || FAILING.has(reason)) && { pulling: true }),
  };
}

function ended(terminated: NonNullable<NonNullable<ContainerStatus["state"]>["terminated"]>, status: Status): PodState {
  const { exitCode, reason, message } = terminated;
  const oom = reason === "OOMKilled";
  const said = shimReport(message);
  const why = status.reason === undefined ? undefined : [status.reason, status.message].filter(Boolean).join(": ");
  // a container whose end its own runtime no longer knew
  if (reason === "ContainerStatusUnknown") return { kind: "lost", reason: why ?? "the container runtime no longer knew it" };
  // could not be made at all: the image lacks a shell, or the like
  if (reason === "StartError" || reason === "ContainerCannotRun") return { kind: "refused", reason: [reason, message].filter(Boolean).join(": ") };
  const byRuntime = terminated.signal !== undefined && terminated.signal > 0 ? terminated.signal : undefined;
  const exit = said ?? (byRuntime !== undefined ? { signal: byRuntime } : exitCode > 128 && exitCode < 160 ? { signal: exitCode - 128 } : { code: exitCode });
  return {
    kind: "ended",
    exitCode: exit.code ?? null,
    signal: exit.signal === undefined ? null : signalName(exit.signal),
    oom,
    ...(why !== undefined && { reason: why }),
  };
}

/** What the shim left: `{"code":3}` or `{"signal":9}`. Without it, the shim itself was killed. */
function shimReport(message: string | undefined): { code?: number; signal?: number } | undefined {
  const report = parse<{ code?: unknown; signal?: unknown }>(message);
  if (typeof report?.code === "number" && report.code >= 0 && report.code <= 255) return { code: report.code };
  if (typeof report?.signal === "number" && report.signal > 0 && report.signal < 65) return { signal: report.signal };
  return undefined;
}

/** Milliseconds since 1970; 0 where it is no time. */
export function timeOf(text: unknown): number {
  return typeof text === "string" ? Date.parse(text) || 0 : 0;
}

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- what was written into an annotation is read as what it was
function parse<T>(text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
