import { chmodSync, chownSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ApiClient, Thing } from "../control-plane/api-client.ts";
import { dataOf, fieldOf } from "./environment.ts";

/** Makes a pod's volumes, and gives the folder of each on this machine; @throws where one can't be had yet */
export async function makeVolumes(api: ApiClient, pod: Thing, dir: string): Promise<Map<string, string>> {
  const places = new Map<string, string>();
  for (const volume of pod.spec.volumes ?? []) places.set(volume.name, await makeVolume(api, pod, volume, join(dir, volume.name)));
  return places;
}

/** Writes those volumes anew that follow the pod and the API: downward API, ConfigMaps, Secrets. */
export async function renewVolumes(api: ApiClient, pod: Thing, dir: string): Promise<void> {
  for (const volume of pod.spec.volumes ?? []) {
    const files = await filesOf(api, pod, volume);
    if (files) writeFiles(join(dir, volume.name), files, groupOf(pod));
  }
}

/** The group that owns a pod's volumes, where it names one. */
export function groupOf(pod: Thing): number | undefined {
  return pod.spec.securityContext?.fsGroup;
}

interface VolumeFile {
  data: Buffer;
  mode: number;
}

async function makeVolume(api: ApiClient, pod: Thing, volume: Thing, place: string): Promise<string> {
  const files = await filesOf(api, pod, volume);
  if (files) {
    writeFiles(place, files, groupOf(pod));
    return place;
  }
  if (volume.emptyDir) {
    mkdirSync(place, { recursive: true });
    chmodSync(place, 0o777);
    chownSync(place, 0, groupOf(pod) ?? 0);
    return place;
  }
  if (volume.hostPath) {
    if (volume.hostPath.type === "DirectoryOrCreate") mkdirSync(volume.hostPath.path, { recursive: true });
    return volume.hostPath.path;
  }
  if (volume.persistentVolumeClaim) {
    const claim = await api.get(`/api/v1/namespaces/${pod.metadata.namespace}/persistentvolumeclaims/${volume.persistentVolumeClaim.claimName}`);
    const { spec } = await api.get(`/api/v1/persistentvolumes/${claim.spec.volumeName}`);
    if (spec.hostPath) return spec.hostPath.path;
  }
  throw new Error(`this kubelet has no such volume: ${JSON.stringify(volume)}`);
}

/** The files of a volume that consists of such; undefined for all others. */
async function filesOf(api: ApiClient, pod: Thing, volume: Thing): Promise<Map<string, VolumeFile> | undefined> {
  const sources = volume.projected?.sources ?? (volume.configMap || volume.secret || volume.downwardAPI ? [volume] : undefined);
  if (!sources) return undefined;
  const defaultMode = (volume.projected ?? volume.configMap ?? volume.secret ?? volume.downwardAPI).defaultMode ?? 0o644;
  const files = new Map<string, VolumeFile>();
  for (const source of sources) {
    const put = (path: string, data: Buffer, mode?: number): unknown => files.set(path, { data, mode: mode ?? defaultMode });
    if (source.downwardAPI) {
      for (const { path, fieldRef, mode } of source.downwardAPI.items ?? []) put(path, Buffer.from(fieldOf(pod, fieldRef.fieldPath)), mode);
    } else if (source.serviceAccountToken) {
      put(source.serviceAccountToken.path, Buffer.from(await tokenOf(api, pod, source.serviceAccountToken)));
    } else {
      const [kind, ref] = source.configMap ? (["configmaps", source.configMap] as const) : (["secrets", source.secret] as const);
      const data = await dataOf(api, pod, kind, { name: ref.name ?? ref.secretName, optional: ref.optional });
      const items = ref.items ?? Object.keys(data).map((key) => ({ key, path: key }));
      for (const { key, path, mode } of items) if (data[key]) put(path, data[key], mode);
    }
  }
  return files;
}

async function tokenOf(api: ApiClient, pod: Thing, { audience, expirationSeconds }: Thing): Promise<string> {
  const { namespace, name, uid } = pod.metadata;
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${pod.spec.serviceAccountName}/token`;
  const boundObjectRef = { apiVersion: "v1", kind: "Pod", name, uid };
  const { status } = await api.create(path, { spec: { audiences: audience ? [audience] : [], expirationSeconds, boundObjectRef } });
  return status.token;
}

/** All at once, as a kubelet does: a link that is turned to a folder of its own. */
function writeFiles(place: string, files: ReadonlyMap<string, VolumeFile>, group: number | undefined): void {
  mkdirSync(place, { recursive: true });
  const before = readdirSync(place).filter((name) => name.startsWith("..20"));
  const version = `..20${Date.now()}.${process.hrtime.bigint()}`;
  for (const [path, { data, mode }] of files) {
    mkdirSync(join(place, version, dirname(path)), { recursive: true });
    writeFileSync(join(place, version, path), data);
    chmodSync(join(place, version, path), group === undefined ? mode : mode | 0o040);
    chownSync(join(place, version, path), 0, group ?? 0);
  }
  mkdirSync(join(place, version), { recursive: true });
  symlinkSync(version, join(place, "..data_new"));
  renameSync(join(place, "..data_new"), join(place, "..data"));
  for (const top of new Set([...files.keys()].map((path) => path.split("/")[0] as string))) {
    rmSync(join(place, `..link`), { force: true });
    symlinkSync(join("..data", top), join(place, "..link"));
    renameSync(join(place, "..link"), join(place, top));
  }
  for (const name of before) rmSync(join(place, name), { recursive: true, force: true });
}
