import { DELEGATED_LAUNCHERS } from "@muster/model";
import { describe, expect, test } from "vitest";
import { suspendPatch } from "./kinds.ts";
import { delegatedObject, type DelegatedGang } from "./object.ts";

const gang: DelegatedGang = {
  kind: "jobset",
  name: "m1",
  namespace: "jobs",
  labels: { "muster.dev/job": "job_1" },
  nodes: ["a", "b", "c"],
  image: "train:1",
  command: ["python3", "train.py", "it's $HOME"],
  env: { PRICE: "$5" },
  resources: { cpu: "8", memory: "1000", "nvidia.com/gpu": "8" },
  ranksPerNode: 8,
  priorityClass: "muster-worker",
  tolerations: [],
  grace: 30,
};

describe.each(DELEGATED_LAUNCHERS)("%s", (kind) => {
  const object = delegatedObject({ ...gang, kind });
  const text = JSON.stringify(object);

  test("is held back, labelled, and restarts nothing by itself", () => {
    expect(object.spec).toMatchObject(suspendPatch(kind, true).spec);
    expect(object.metadata).toMatchObject({ name: "m1", namespace: "jobs", labels: { "muster.dev/job": "job_1", "muster.dev/gang-of": "m1" } });
    expect(text).not.toMatch(/"(restartPolicy)":"(OnFailure|Always|ExitCode)"/);
  });

  test("is pinned to the gang's nodes by name, and to no other", () => {
    expect(
      [...text.matchAll(/"metadata\.name","operator":"In","values":\["(\w)"\]/g)]
        .map((match) => match[1])
        .filter((node) => !gang.nodes.includes(node as string)),
    ).toEqual([]);
    for (const node of gang.nodes) expect(text).toContain(`"values":["${node}"]`);
    expect(text).toContain('"topologyKey":"kubernetes.io/hostname"');
  });

  test("gives variables as they are: a dollar refers to nothing", () => {
    expect(text).toContain('{"name":"PRICE","value":"$$5"}');
  });
});

test("Ray is given one line in which each word stays one", () => {
  expect(delegatedObject({ ...gang, kind: "rayjob" }).spec["entrypoint"]).toBe(String.raw`python3 train.py 'it'\''s $HOME'`);
});

test("a gang of one has no further workers", () => {
  expect(delegatedObject({ ...gang, kind: "pytorchjob", nodes: ["a"] }).spec["pytorchReplicaSpecs"]).not.toHaveProperty("Worker");
  expect(delegatedObject({ ...gang, kind: "rayjob", nodes: ["a"] }).spec["rayClusterSpec"]).toMatchObject({ workerGroupSpecs: [] });
});
