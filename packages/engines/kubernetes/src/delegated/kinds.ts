import type { DelegatedLauncher } from "@muster/model";

/* The operators that a gang may be handed to: how their objects are named, and where they are suspended. */

export type DelegatedKind = DelegatedLauncher;

export interface KindOfObject {
  apiVersion: string;
  kind: string;
  plural: string;
  /** Path of the field that holds it back. */
  suspend: readonly string[];
}

export const KINDS: Readonly<Record<DelegatedKind, KindOfObject>> = {
  trainjob: { apiVersion: "trainer.kubeflow.org/v1alpha1", kind: "TrainJob", plural: "trainjobs", suspend: ["suspend"] },
  jobset: { apiVersion: "jobset.x-k8s.io/v1alpha2", kind: "JobSet", plural: "jobsets", suspend: ["suspend"] },
  rayjob: { apiVersion: "ray.io/v1", kind: "RayJob", plural: "rayjobs", suspend: ["suspend"] },
  mpijob: { apiVersion: "kubeflow.org/v2beta1", kind: "MPIJob", plural: "mpijobs", suspend: ["runPolicy", "suspend"] },
  pytorchjob: { apiVersion: "kubeflow.org/v1", kind: "PyTorchJob", plural: "pytorchjobs", suspend: ["runPolicy", "suspend"] },
};

/** A merge patch that holds an object back or lets it go. */
export function suspendPatch(kind: DelegatedKind, suspend: boolean): { spec: object } {
  return { spec: KINDS[kind].suspend.reduceRight<unknown>((inner, field) => ({ [field]: inner }), suspend) as object };
}
