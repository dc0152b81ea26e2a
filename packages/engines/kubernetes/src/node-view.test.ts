import { describe, expect, test } from "vitest";
import { discover } from "./discover.ts";
import { amount, answers, readForeign, readNode, unfit } from "./node-view.ts";
import { someConfig } from "./testing/objects.ts";

const NODE = {
  metadata: {
    name: "gpu-7",
    labels: {
      "topology.kubernetes.io/zone": "z1",
      "example.com/block": "b3",
      "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
      "nvidia.com/gpu.memory": "81559",
    },
  },
  spec: { taints: [{ key: "nvidia.com/gpu", value: "present", effect: "NoSchedule" }] },
  status: {
    allocatable: { cpu: "191500m", memory: "2113478Mi", "nvidia.com/gpu": "8", pods: "110" },
    addresses: [{ type: "InternalIP", address: "10.1.0.7" }],
    conditions: [
      { type: "Ready", status: "True" },
      { type: "MemoryPressure", status: "False" },
    ],
    nodeInfo: { bootID: "b0" },
  },
};
const changed = (spec: object, conditions: object[] = []) =>
  readNode({ ...NODE, spec, status: { ...NODE.status, conditions: [...conditions, { type: "Ready", status: "True" }] } });
const config = someConfig({
  fabric: ["topology.kubernetes.io/zone", "example.com/block", "example.com/rack"],
  bad_conditions: ["GpuUnhealthy"],
  node_prefix: "east.",
});
const pool = config.pools[0] as (typeof config.pools)[number];

describe("a node of the cluster", () => {
  test("counts what is left of it beside others' pods", () => {
    const held = new Map([
      ["cpu", 1.5],
      ["nvidia.com/gpu", 1],
      ["memory", 2 ** 30],
    ]);
    expect(discover(readNode(NODE), pool, "nvidia.com/gpu", held, config)).toMatchObject({
      name: "east.gpu-7",
      pool: "h100",
      fabric: ["z1", "b3"],
      devices: 7,
      deviceMemory: 81_559 * 2 ** 20,
      cpuMillis: 190_000,
      memory: 2_113_478 * 2 ** 20 - 2 ** 30,
      address: "10.1.0.7",
      labels: expect.objectContaining({ "accelerator-model": "NVIDIA-H100-80GB-HBM3" }) as object,
      bootId: "b0",
      unfit: undefined,
      answers: true,
    });
  });

  test.each([
    [changed({ unschedulable: true }), "cordoned in Kubernetes"],
    [changed({}, [{ type: "DiskPressure", status: "True", reason: "KubeletHasDiskPressure" }]), "DiskPressure: KubeletHasDiskPressure"],
    [changed({}, [{ type: "GpuUnhealthy", status: "True", message: "Xid 79" }]), "GpuUnhealthy: Xid 79"],
    [changed({}, [{ type: "Ready", status: "False", reason: "KubeletNotReady" }]), "not ready: KubeletNotReady"],
    [changed({ taints: [{ key: "maintenance", effect: "NoSchedule" }] }), "tainted maintenance:NoSchedule"],
    [changed({ taints: [{ key: "maintenance", effect: "PreferNoSchedule" }] }), undefined],
    [changed({ taints: [{ key: "node.kubernetes.io/unreachable", effect: "NoExecute" }] }), undefined],
  ])("takes work or says why not", (node, why) => {
    expect(unfit(node, config, [], "nvidia.com/gpu")).toBe(why);
  });

  test("that is silent is not unfit: it doesn't answer", () => {
    const silent = changed({}, [{ type: "Ready", status: "Unknown" }]);
    expect(answers(silent)).toBe(false);
    expect(unfit(silent, config, [], undefined)).toBeUndefined();
  });

  test("others' pods hold what they ask for, until they end", () => {
    const spec = {
      nodeName: "gpu-7",
      containers: [{ resources: { requests: { cpu: "250m" }, limits: { "nvidia.com/gpu": "2" } } }, { resources: { requests: { cpu: "1" } } }],
      initContainers: [{ resources: { requests: { cpu: "2" } } }],
    };
    expect(readForeign({ metadata: {}, spec, status: { phase: "Running" } })).toEqual({ node: "gpu-7", requests: { cpu: 2, "nvidia.com/gpu": 2 } });
    expect(readForeign({ metadata: {}, spec, status: { phase: "Succeeded" } })).toBeUndefined();
    expect(readForeign({ metadata: {}, spec: { ...spec, nodeName: undefined } })).toBeUndefined();
  });

  test.each([
    ["250m", 0.25],
    ["16Gi", 17_179_869_184],
    ["1e3", 1000],
    ["2k", 2000],
    ["what", 0],
    [undefined, 0],
  ])("%s is %d", (text, value) => {
    expect(amount(text)).toBe(value);
  });
});
