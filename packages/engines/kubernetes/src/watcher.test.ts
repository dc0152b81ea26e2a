import { pino } from "pino";
import { expect, it } from "vitest";
import type { News } from "./feed.ts";
import { readPod, type PodView } from "./pod-state.ts";
import { Roster } from "./roster.ts";
import { SharedObjects } from "./shared-objects.ts";
import { later, somePod, someStart } from "./testing/objects.ts";
import { STALE_MS, Watcher, type WatcherParts } from "./watcher.ts";

/** A watcher of a cluster that was last heard of so long ago, with a node that answers, and what it removed and told. */
function watching(age: number): { watcher: Watcher; roster: Roster; removed: string[]; news: News[] } {
  const roster = new Roster();
  const removed: string[] = [];
  const news: News[] = [];
  const node = { bootId: "boot-1", taints: [], conditions: [{ type: "Ready", status: "True" }] };
  const parts = {
    shard: "east",
    roster,
    shared: new SharedObjects(),
    logger: pino({ level: "silent" }),
    config: { bind_timeout: 0, pull_timeout: 0, start_timeout: 0 },
    fences: { isOver: () => false, raise: () => {} },
    nodes: { get: () => node, bootOf: () => "boot-1" },
    writer: {
      remove: async ({ name }: PodView) => {
        removed.push(name);
      },
    },
    gangs: { consider: () => {} },
    follower: { follow: () => {}, drop: () => {} },
    host: { note: (one: News) => news.push(one), follow: () => {} },
    active: () => true,
    age: () => age,
    trouble: () => {},
  };
  return { watcher: new Watcher(parts as unknown as WatcherParts), roster, removed, news };
}

const pod = somePod(someStart());
const hopeless = readPod(
  later(pod, { phase: "Pending", containerStatuses: [{ name: "worker", state: { waiting: { reason: "InvalidImageName", message: "no such name" } } }] }),
) as PodView;

it("gives up what can't come up while it hears of the cluster", () => {
  const { watcher, roster, removed } = watching(STALE_MS);
  watcher.sawPod(hopeless);
  expect(removed).toEqual([pod.metadata.name]);
  expect([...roster].map((worker) => worker.givenUp)).toEqual(["InvalidImageName: no such name"]);
});

it("concludes nothing when what it knows is too old", () => {
  const { watcher, roster, removed, news } = watching(STALE_MS + 1);
  watcher.sawPod(hopeless);
  watcher.sawNodes();
  for (const worker of roster) watcher.tick(worker, Date.now() + 1e9);
  expect(removed).toEqual([]);
  expect([...roster].map((worker) => worker.state)).toEqual(["starting"]);
  expect(news.map(({ kind }) => kind)).toEqual(["notice"]);
});
