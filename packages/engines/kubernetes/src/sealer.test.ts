import { expect, test } from "vitest";
import { KubeError, type KubeObject, type KubeRequest } from "./api.ts";
import type { News } from "./feed.ts";
import { Fences } from "./fences.ts";
import { checkpointsOf } from "./paths.ts";
import type { SealView } from "./seal-pod.ts";
import { Sealer } from "./sealer.ts";
import { KEY, someConfig } from "./testing/objects.ts";
import { PodWriter } from "./writer.ts";

const { worker: _, ...ATTEMPT } = KEY;
const CONFIG = someConfig();
const COMMIT = {
  ...ATTEMPT,
  node: "node-a",
  project: "default",
  step: 40,
  path: `${checkpointsOf(CONFIG, ATTEMPT, undefined).attempt}/step-40`,
  name: "40-a",
  keep: ["40-a"],
};

/** A cluster in which one pod of a name may be, and `beforeRefusal` happens while the refusal of a second is on its way. */
function sealing(beforeRefusal: (sealer: Sealer, pod: SealView) => void) {
  const told: News[] = [];
  let made = 0;
  let there: SealView | undefined;
  const ask = async ({ method, body }: KubeRequest): Promise<KubeObject> => {
    // one that is deleted is there until it has gone
    if (method !== "POST") return {} as KubeObject;
    const { name } = (body as KubeObject).metadata;
    if (there) {
      beforeRefusal(sealer, there);
      throw new KubeError(409, "AlreadyExists", `pods "${name}" already exists`);
    }
    there = { name: name as string, uid: `uid-${++made}`, key: ATTEMPT, step: 40, sealed: "40-a", path: "/checkpoints/40-a", createdAt: 0 };
    return body as KubeObject;
  };
  const api = { ask: ask as never };
  const sealer = new Sealer(api, new PodWriter(api, CONFIG, "east"), CONFIG, "east", new Fences(api, "/configmaps", "east"), (news) => told.push(news), String);
  return {
    sealer,
    told,
    made: () => made,
    remove: () => (there = undefined),
    /** The pod that is there ends well. */
    end(): void {
      if (there) sealer.saw({ ...there, result: { ok: true } }, () => {});
    },
  };
}

test("asked again while its pod leaves, whose going is heard of before the refusal, it is sealed again", async () => {
  const world = sealing((sealer, pod) => {
    sealer.gone(pod);
    world.remove();
  });
  await world.sealer.seal([COMMIT]);
  world.end();
  expect(world.told).toHaveLength(1);
  await world.sealer.seal([COMMIT]);
  expect(world.made()).toBe(2);
  world.end();
  expect(world.told.map(({ kind }) => kind)).toEqual(["sealed", "sealed"]);
});

test("asked again while its pod seals, nothing is made anew", async () => {
  const world = sealing((sealer, pod) => sealer.saw(pod, () => {}));
  await world.sealer.seal([COMMIT]);
  await world.sealer.seal([COMMIT]);
  expect(world.made()).toBe(1);
  expect(world.told).toEqual([]);
});
