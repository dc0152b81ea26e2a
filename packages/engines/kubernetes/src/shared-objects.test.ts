import { expect, it } from "vitest";
import type { KubeObject } from "./api.ts";
import { FINALIZER } from "./names.ts";
import { SharedObjects } from "./shared-objects.ts";

const pod = (name: string, secret: string, finalizers: string[] = [FINALIZER]): KubeObject => ({
  metadata: { name, finalizers },
  spec: { volumes: [{ projected: { sources: [{ configMap: { name: "muster-files-f" } }, { secret: { name: secret } }] } }] },
});

it("names the Secret when the last pod that leans on it has left, once", () => {
  const shared = new SharedObjects();
  for (const one of [pod("a", "s"), pod("b", "s"), pod("b", "s"), pod("c", "t")]) shared.saw(one);
  expect(["a", "b", "b", "c", "d"].map((name) => shared.left(name))).toEqual([undefined, "s", undefined, "t", undefined]);
});

it("doesn't count a pod again that is seen once more as it leaves", () => {
  const shared = new SharedObjects();
  shared.saw(pod("a", "s"));
  expect(shared.usedFiles()).toEqual(new Set(["muster-files-f"]));
  expect(shared.left("a")).toBe("s");
  shared.saw(pod("a", "s", []));
  expect(shared.left("a")).toBeUndefined();
  expect(shared.usedFiles()).toEqual(new Set());
});
