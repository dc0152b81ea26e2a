import type { FailureClass, FaultRule } from "@muster/model";
import type { Rule } from "./classify.ts";

/*
 * What devices of each maker report, as data. Lists disagree (NVIDIA's catalogue, its Kubernetes plugin, Azure's and Meta's checks), so
 * each is a rule of its own that a cluster may change by its id: `xid_63`, `ascend_80e01801`, `amd_ring_timeout`.
 */

export interface DeviceError {
  id: string;
  means: string;
  /** What a job that ends with it is taken for. */
  class: FailureClass;
  /** `exclude_node`: it can't pass by itself, and its node is taken out; `retry`: it was got over, the node is suspect; `ignore`: only kept. */
  action: "exclude_node" | "retry" | "ignore";
  pattern: RegExp;
}

type Entry = readonly [code: string, means: string];

/** NVIDIA's Xid catalogue, by what is to be done. */
const XID: Readonly<Record<DeviceError["action"], readonly Entry[]>> = {
  exclude_node: [
    ["48", "a memory error that can't be corrected"],
    ["62", "the device's own processor halted"],
    ["64", "rows of memory can't be remapped"],
    ["79", "the device fell off the bus"],
    ["95", "a memory error that was not contained"],
    ["119", "the device's system processor timed out"],
    ["120", "the device's system processor failed"],
    ["136", "a link failed in training"],
    ["140", "an unrecovered memory error"],
    ["143", "the device failed to initialize"],
    ["155", "links failed, and the device needs a reset"],
    ["156", "a resource was retired, and the device needs a reset"],
    ["158", "a fatal time-out of the device"],
  ],
  retry: [
    ["46", "the device stopped working on something"],
    ["63", "rows of memory are to be remapped"],
    ["74", "an error of a link"],
    ["92", "many memory errors that were corrected"],
    ["94", "a memory error that was contained"],
    ["109", "a context switch timed out"],
    ["110", "a security fault"],
    ...["144", "145", "146", "147", "148", "149", "150"].map((code): Entry => [code, "an error of a link"]),
  ],
  ignore: [
    ["13", "a program's exception"],
    ["31", "a program's access to memory that isn't its own"],
    ["32", "a program's broken command stream"],
    ["43", "a program stopped for an error"],
    ["45", "a program's end cleaned up"],
    ["68", "a video processor's exception"],
    ["69", "a program's exception of its class"],
  ],
};

/** Event codes of Ascend, as its driver writes them: `event_id=0x80e01801`. */
const ASCEND: Readonly<Record<DeviceError["action"], readonly Entry[]>> = {
  exclude_node: [
    ["80e18402", "memory has so many isolated rows that the device is to be replaced"],
    ["56000005", "the device was lost"],
    ["56000009", "the device shut down for heat"],
    ["2c000007", "the device lost power"],
    ["5d00001f", "the device lost power"],
  ],
  retry: [
    ["80e01801", "a memory error that can't be corrected, isolated"],
    ["80cb8009", "a vector core's access failed"],
    ["80cb800a", "a vector core timed out and was reset"],
    ["81078603", "a link of the parameter plane went down"],
    ["56000003", "the device reports critical health"],
  ],
  ignore: [],
};

const CLASSES = { exclude_node: "infrastructure", retry: "infrastructure", ignore: "unknown" } as const;

function table(codes: typeof XID, maker: string, pattern: (code: string) => RegExp): DeviceError[] {
  return (["exclude_node", "retry", "ignore"] as const).flatMap((action) =>
    codes[action].map(([code, means]) => ({ id: `${maker}_${code}`, means, class: CLASSES[action], action, pattern: pattern(code) })),
  );
}

/** In the order in which they are looked at. */
export const DEVICE_ERRORS: readonly DeviceError[] = [
  ...table(XID, "xid", (code) => new RegExp(`\\bXid\\b.*: *${code}\\b`)),
  // a number alone may be an address
  ...table(ASCEND, "ascend", (code) => new RegExp(`\\b(event_id|ascend|devdrv|davinci|npu)\\w*\\b.*\\b(0x)?${code}\\b`, "i")),
  {
    id: "ascend_memory",
    means: "memory can't be corrected, or the device's heart beat is lost",
    class: "infrastructure",
    action: "exclude_node",
    pattern: /\b(ascend|devdrv|davinci|npu)\w*\b.*(multi.?bit|uncorrect\w*|heart ?beat lost|hbm .*fault)|NPU.*(HBM|ECC).*(error|fault)/i,
  },
  {
    id: "amd_uncorrectable",
    means: "an error that can't be corrected",
    class: "infrastructure",
    action: "exclude_node",
    pattern: /amdgpu\b.*uncorrectable/i,
  },
  { id: "amd_reset_failed", means: "a reset failed", class: "infrastructure", action: "exclude_node", pattern: /amdgpu\b.*GPU reset\(\d+\) failed/i },
  { id: "amd_lost", means: "the device was lost from the bus", class: "infrastructure", action: "exclude_node", pattern: /amdgpu\b.*device lost from bus/i },
  { id: "amd_ring_timeout", means: "work on the device timed out", class: "infrastructure", action: "retry", pattern: /amdgpu\b.*ring \S+ timeout/i },
  { id: "amd_reset", means: "the device is reset", class: "infrastructure", action: "retry", pattern: /amdgpu\b.*GPU reset begin/i },
];

const IDS: ReadonlySet<string> = new Set(["device_error", ...DEVICE_ERRORS.map(({ id }) => id)]);

/** Whether a rule's evidence is a device's own. */
export function tellsOfDevice(rule: string): boolean {
  return IDS.has(rule);
}

/** The rules by which a job's own output tells of a device; those of an action. */
export function deviceRules(action: "exclude_node" | "retry", weight: number): Rule[] {
  return DEVICE_ERRORS.filter((error) => error.action === action).map(({ id, class: of, means, pattern }) => ({
    id,
    weight,
    match: (ending) => ending.tail.split("\n").findLast((text) => pattern.test(text)),
    class: of,
    action,
    message: `a device reported an error: ${means}`,
  }));
}

/** What a line says of a device, as the cluster's rules have it. */
export function readDeviceLine(line: string, rules: readonly FaultRule[]): { error: DeviceError; action: DeviceError["action"] } | undefined {
  for (const error of DEVICE_ERRORS) {
    const change = rules.find((rule) => rule.id === error.id && !rule.match && !rule.shadow);
    if (change?.off || !error.pattern.test(line)) continue;
    const action = change?.action;
    return { error, action: action === "exclude_node" || action === "retry" || action === "ignore" ? action : error.action };
  }
  return undefined;
}
