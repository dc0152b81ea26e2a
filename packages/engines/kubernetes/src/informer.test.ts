import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KubeApi, type KubeObject } from "./api.ts";
import { Informer, type InformerOptions } from "./informer.ts";

/* An API server's side of a list and a watch, over real connections: what it says and when, the test says. */

const PATH = "/api/v1/things";

const thing = (name: string, version: number, uid = name): KubeObject => ({ metadata: { name, uid, resourceVersion: String(version) } });

class Collection {
  /** What a list answers, page by page. */
  pages: KubeObject[][] = [[]];
  version = 10;
  /** Versions that watches were asked from, and those that are open. */
  readonly asked: string[] = [];
  readonly open: ServerResponse[] = [];
  /** Statuses that the next watches are answered with. */
  readonly refusals: number[] = [];
  readonly server: Server = createServer((request, response) => {
    const { searchParams: query } = new URL(request.url ?? "/", "http://here");
    response.setHeader("content-type", "application/json");
    if (query.get("watch") === "true") {
      this.asked.push(query.get("resourceVersion") ?? "");
      const status = this.refusals.shift();
      if (status === undefined) this.#keep(response);
      else response.writeHead(status).end(JSON.stringify({ kind: "Status", code: status, message: "too old" }));
    } else {
      const page = Number(query.get("continue") ?? 0);
      const more = page + 1 < this.pages.length ? { continue: String(page + 1) } : {};
      response.end(JSON.stringify({ metadata: { resourceVersion: String(this.version), ...more }, items: this.pages[page] }));
    }
  });

  #keep(response: ServerResponse): void {
    response.flushHeaders();
    this.open.push(response);
    response.on("close", () => this.open.splice(this.open.indexOf(response), 1));
  }

  say(type: string, object: object): void {
    this.open.at(-1)?.write(`${JSON.stringify({ type, object })}\n`);
  }
}

describe("an informer", () => {
  let collection: Collection;
  let api: KubeApi;
  let dir: string;
  let informer: Informer<string> | undefined;
  let told: string[];

  beforeEach(async () => {
    collection = new Collection();
    collection.server.listen(0, "127.0.0.1");
    await once(collection.server, "listening");
    dir = mkdtempSync(join(tmpdir(), "muster-informer-"));
    const server = `http://127.0.0.1:${(collection.server.address() as AddressInfo).port}`;
    const named = (kind: string, value: object): object => ({ [`${kind}s`]: [{ name: "one", [kind]: value }] });
    const config = {
      ...named("cluster", { server, "insecure-skip-tls-verify": true }),
      ...named("user", { token: "none" }),
      ...named("context", { cluster: "one", user: "one" }),
      "current-context": "one",
    };
    writeFileSync(join(dir, "kubeconfig"), JSON.stringify(config));
    api = await KubeApi.open({ kubeconfig: join(dir, "kubeconfig") });
    told = [];
  });
  afterEach(async () => {
    await informer?.stop();
    await api.close();
    collection.server.closeAllConnections();
    collection.server.close();
    rmSync(dir, { recursive: true });
  });

  const follow = async (more: Partial<InformerOptions<string>> = {}): Promise<Informer<string>> => {
    informer = new Informer<string>({
      api,
      path: PATH,
      trim: ({ metadata }) => `${metadata.uid}@${metadata.resourceVersion}`,
      changed: (name, now, before) => told.push(`${name}: ${before ?? "-"} > ${now ?? "-"}`),
      ...more,
    });
    informer.start();
    await informer.ready();
    await watching(1);
    return informer;
  };
  const until = async (look: () => boolean): Promise<void> => {
    for (const end = Date.now() + 30_000; !look() && Date.now() < end; ) await delay(5);
  };
  const watching = (times: number): Promise<void> => until(() => collection.asked.length >= times && collection.open.length === 1);
  /** What was told, when it is that many. */
  const heard = async (count: number): Promise<string[]> => {
    await until(() => told.length >= count);
    return told;
  };

  it("takes a list in page by page, and follows what changes from its version on", async () => {
    collection.pages = [[thing("a", 3)], [thing("b", 4)]];
    const { lists } = await follow();
    collection.say("MODIFIED", thing("a", 11));
    collection.say("ADDED", thing("c", 12));
    // seen before, as it may be after a reconnection: nothing new
    collection.say("MODIFIED", thing("a", 11));
    // as it was when it went is told too
    collection.say("DELETED", thing("b", 13));
    expect(await heard(6)).toEqual(["a: - > a@3", "b: - > b@4", "a: a@3 > a@11", "c: - > c@12", "b: b@4 > b@13", "b: b@13 > -"]);
    expect([lists, collection.asked]).toEqual([1, ["10"]]);
  });

  it("goes on where it was when the connection breaks, without another list", async () => {
    collection.pages = [[thing("a", 3)]];
    const { lists } = await follow();
    collection.say("BOOKMARK", { metadata: { resourceVersion: "20" } });
    collection.say("MODIFIED", thing("a", 21));
    collection.open[0]?.write('{"type":"MODIFIED","obj');
    expect(await heard(2)).toEqual(["a: - > a@3", "a: a@3 > a@21"]);
    collection.open[0]?.destroy();
    await watching(2);
    collection.say("MODIFIED", thing("a", 22));
    expect(await heard(3)).toEqual(["a: - > a@3", "a: a@3 > a@21", "a: a@21 > a@22"]);
    expect([lists, informer?.lists, collection.asked]).toEqual([1, 1, ["10", "21"]]);
  });

  const forgotten: [string, () => void][] = [
    [
      "in the middle of a watch",
      () => {
        collection.say("ERROR", { code: 410, metadata: {} });
      },
    ],
    [
      "when a watch is asked for",
      () => {
        collection.refusals.push(410);
        collection.open[0]?.end();
      },
    ],
  ];
  it.each(forgotten)("lists again when the server has forgotten its version (410) %s: what came, changed and went meanwhile is told", async (_, forget) => {
    collection.pages = [[thing("a", 3), thing("b", 4), thing("c", 5)]];
    await follow();
    collection.pages = [[thing("a", 3), thing("b", 31), thing("d", 32)]];
    collection.version = 40;
    told.length = 0;
    forget();
    expect(await heard(3)).toEqual(["b: b@4 > b@31", "d: - > d@32", "c: c@5 > -"]);
    await until(() => collection.asked.at(-1) === "40");
    expect([informer?.lists, collection.asked.at(-1)]).toEqual([2, "40"]);
  });

  it("lists again every so often: what a watch didn't tell of is found", async () => {
    collection.pages = [[thing("a", 3)]];
    await follow({ relistEvery: 300 });
    collection.pages = [[thing("b", 15)]];
    collection.version = 20;
    expect(await heard(3)).toEqual(["a: - > a@3", "b: - > b@15", "a: a@3 > -"]);
  });

  it("breaks a watch off that says nothing, and goes on from its version", async () => {
    collection.pages = [[thing("a", 3)]];
    await follow({ silentAfter: 100 });
    await watching(2);
    expect([informer?.lists, ...collection.asked]).toEqual([1, "10", "10"]);
  });

  it("breaks a watch off that doesn't bring back what was written", async () => {
    const one = await follow({ echoWithin: 100 });
    one.put(thing("mine", 12));
    await watching(2);
    collection.say("ADDED", thing("mine", 12));
    expect(await heard(1)).toEqual(["mine: - > mine@12"]);
    expect(collection.asked).toEqual(["10", "10"]);
  });

  it("keeps what was written while a list was on its way", async () => {
    const one = await follow();
    one.put(thing("mine", 12));
    collection.say("ERROR", { code: 410, metadata: {} });
    await watching(2);
    expect([one.lists, told]).toEqual([2, ["mine: - > mine@12"]]);
    collection.version = 13;
    collection.say("ERROR", { code: 410, metadata: {} });
    expect(await heard(2)).toEqual(["mine: - > mine@12", "mine: mine@12 > -"]);
  });

  it("tells that the former one is gone when another has its name", async () => {
    collection.pages = [[thing("a", 3, "first")]];
    await follow();
    collection.say("ADDED", thing("a", 11, "second"));
    // of the former one: it doesn't concern the one that is there now
    collection.say("DELETED", thing("a", 12, "first"));
    collection.say("MODIFIED", thing("a", 13, "second"));
    expect(await heard(4)).toEqual(["a: - > first@3", "a: first@3 > -", "a: - > second@11", "a: second@11 > second@13"]);
  });
});
