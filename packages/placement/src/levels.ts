import type { FabricLevel } from "./cluster-input.ts";

export const DEFAULT_LEVELS: readonly FabricLevel[] = [
  { name: "domain", rung: "domain" },
  { name: "leaf", rung: "leaf" },
  { name: "spine", rung: "spine" },
  { name: "zone", rung: "zone" },
];

/** Fabric levels as numbers: 0 is the node, 1 the lowest level of the fabric, `root` the whole partition. */
export class Levels {
  readonly list: readonly FabricLevel[];
  readonly root: number;

  constructor(list: readonly FabricLevel[] = DEFAULT_LEVELS) {
    if (list.length < 1 || list.length > 8) throw new Error(`a fabric has 1 to 8 levels, not ${list.length}`);
    const names = new Set(list.map((level) => level.name));
    if (names.size < list.length || names.has("node")) {
      throw new Error('fabric level names must differ from each other and from "node"');
    }
    this.list = list;
    this.root = list.length + 1;
  }

  /** The number of a rung or level name. */
  find(within: string): number {
    if (within === "node") return 0;
    let index = this.list.findIndex((level) => level.rung === within);
    if (index < 0) index = this.list.findIndex((level) => level.name === within);
    if (index < 0) {
      const known = ["node", ...this.list.map((level) => level.rung ?? level.name)].join(", ");
      throw new Error(`within: no fabric level is called "${within}"; use one of ${known}`);
    }
    return index + 1;
  }

  name(level: number): string {
    if (level === 0) return "node";
    const found = this.list[level - 1];
    return found === undefined ? "cluster" : (found.rung ?? found.name);
  }
}
