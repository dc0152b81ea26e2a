import { VENDOR_RESOURCES, type KubernetesConfig } from "@muster/model";
import type { KubeApi } from "./api.ts";
import { discover, type DiscoveredNode } from "./discover.ts";
import { Informer } from "./informer.ts";
import * as names from "./names.ts";
import { answers, readForeign, readNode, unfit, type ForeignPod, type NodeView } from "./node-view.ts";
import type { NodeOfStart } from "./writer.ts";

/* The cluster's nodes, and what pods that aren't ours hold of them. */

type PoolOfNodes = KubernetesConfig["pools"][number];

export class Nodes {
  private readonly config: KubernetesConfig;
  private readonly vendors: Readonly<Record<string, string>>;
  private readonly nodes: Informer<NodeView>;
  private readonly foreign: Informer<ForeignPod | undefined>;
  private readonly held = new Map<string, Map<string, number>>();
  private readonly pools = new Map<string, PoolOfNodes | undefined>();
  /** Nodes of which something changed since they were last asked for. */
  private readonly dirty = new Set<string>();

  constructor(
    api: KubeApi,
    config: KubernetesConfig,
    shard: string,
    vendors: Readonly<Record<string, string>>,
    trouble: (what: string) => (error: unknown) => void,
    changed: () => void,
  ) {
    this.config = config;
    this.vendors = vendors;
    this.nodes = new Informer({
      api,
      path: "/api/v1/nodes",
      trim: readNode,
      changed: (name, now, before) => {
        this.pools.set(name, now && poolOf(now, config));
        this.dirty.add(name);
        // beats change nothing that workers depend on
        if (!now || !before || now.bootId !== before.bootId || answers(now) !== answers(before) || now.taints.length !== before.taints.length) changed();
      },
      trouble: trouble("nodes"),
    });
    this.foreign = new Informer({
      api,
      path: "/api/v1/pods",
      query: { labelSelector: `${names.SHARD}!=${shard}` },
      trim: readForeign,
      changed: (_, now, before) => {
        if (before) this.hold(before, -1);
        if (now) this.hold(now, 1);
      },
      trouble: trouble("other pods"),
    });
  }

  start(): void {
    this.nodes.start();
    this.foreign.start();
  }

  async ready(): Promise<void> {
    await Promise.all([this.nodes.ready(), this.foreign.ready()]);
  }

  async stop(): Promise<void> {
    await Promise.all([this.nodes.stop(), this.foreign.stop()]);
  }

  ages(): Record<string, number> {
    return { nodes: this.nodes.age(), other_pods: this.foreign.age() };
  }

  clusterName(node: string): string {
    return node.slice(this.config.node_prefix.length);
  }

  get(node: string): NodeView | undefined {
    return node.startsWith(this.config.node_prefix) ? this.nodes.get(this.clusterName(node)) : undefined;
  }

  /** Whether it is there, and in one of our pools. */
  knows(node: string): boolean {
    return this.get(node) !== undefined && this.pools.get(this.clusterName(node)) !== undefined;
  }

  bootOf(node: string): string | undefined {
    return this.get(node)?.bootId;
  }

  boots(): { node: string; bootId: string }[] {
    return [...this.nodes.values()].flatMap(({ name, bootId }) => (this.pools.get(name) ? [{ node: this.config.node_prefix + name, bootId }] : []));
  }

  placeOf(node: string): NodeOfStart {
    const name = this.clusterName(node);
    const pool = this.pools.get(name);
    return {
      node: name,
      bootId: this.bootOf(node) ?? "",
      resource: this.resourceOf(pool),
      runtimeClass: pool?.runtime_class,
      tolerations: pool?.tolerations ?? [],
    };
  }

  /** Why nothing may be started there now. */
  unfit(node: string): string | undefined {
    const view = this.get(node);
    if (!view) return "it is not in the cluster any more";
    if (!answers(view)) return "its kubelet doesn't answer";
    const pool = this.pools.get(view.name);
    return unfit(view, this.config, pool?.tolerations ?? [], this.resourceOf(pool));
  }

  /** What there is now of nodes that changed since the last time; `gone`: those that left, or belong to no pool. */
  changes(): { nodes: DiscoveredNode[]; gone: string[] } {
    const nodes: DiscoveredNode[] = [];
    const gone: string[] = [];
    for (const name of this.dirty) {
      const view = this.nodes.get(name);
      const pool = this.pools.get(name);
      if (view && pool) nodes.push(discover(view, pool, this.resourceOf(pool), this.held.get(name) ?? new Map(), this.config));
      else gone.push(this.config.node_prefix + name);
    }
    this.dirty.clear();
    return { nodes, gone };
  }

  /** Everything counts as changed again. */
  retell(): void {
    for (const { name } of this.nodes.values()) this.dirty.add(name);
  }

  private resourceOf(pool: PoolOfNodes | undefined): string | undefined {
    return pool && (pool.resource ?? VENDOR_RESOURCES[this.vendors[pool.pool] ?? ""]);
  }

  private hold({ node, requests }: ForeignPod, sign: 1 | -1): void {
    let held = this.held.get(node);
    if (!held) this.held.set(node, (held = new Map()));
    for (const [resource, amount] of Object.entries(requests)) held.set(resource, (held.get(resource) ?? 0) + sign * amount);
    this.dirty.add(node);
  }
}

function poolOf(node: NodeView, config: KubernetesConfig): PoolOfNodes | undefined {
  return config.pools.find(({ match }) => Object.entries(match).every(([key, value]) => node.labels[key] === value));
}
