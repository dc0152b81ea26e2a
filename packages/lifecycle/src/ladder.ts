/*
 * How a job comes back after an attempt of it failed, cheapest first: restarted on the same nodes, with a replacement for those that
 * are out, smaller where it is elastic, or through the queue. Before all of these stands the framework's own recovery, during
 * which nothing is ended (hang.ts).
 */

export interface LadderInput {
  /** Seconds that it has to wait before its next start. */
  backoff: number;
  /** Nodes of its last attempt that it can't have again, each with why. */
  out: readonly { node: string; why: string }[];
  members: number;
  /** Whether for each of these nodes there is another that may stand in for it. */
  replaced: boolean;
  /** A spare is lent to preemptible work: whoever places the queue takes it back at once. */
  lent: boolean;
  /** Sizes that it may have, largest first; just its own where it isn't elastic. */
  sizes: readonly number[];
  /** Seconds that it may hold its healthy nodes while a replacement is looked for, and since when it does. */
  hold: number;
  held: number | null;
  /** Another job holds nodes of the same pool, and began before: two of them never wait for each other. */
  othersHold: boolean;
}

export type Climb =
  | { rung: "in_place"; why: string }
  | { rung: "swap"; why: string }
  | { rung: "shrink"; size: number; why: string }
  /** It keeps what it has for so many seconds yet, and looks again whenever something changes. */
  | { rung: "hold"; left: number; why: string }
  | { rung: "requeue"; why: string };

export function climb(input: LadderInput): Climb {
  const { backoff, out, members, sizes, hold, held } = input;
  const names = out.map(({ node, why }) => `${node} (${why})`).join(", ");
  if (backoff > 0) return { rung: "requeue", why: `it backs off for ${backoff} s, and holds nothing meanwhile` };
  if (out.length === 0) return { rung: "in_place", why: "all its nodes are in service" };
  if (input.replaced) return { rung: "swap", why: `without ${names}` };
  const healthy = members - out.length;
  const size = sizes.find((one) => one <= healthy);
  if (size !== undefined) return { rung: "shrink", size, why: `without ${names}, for which there is no replacement now; it may run on ${size}` };
  if (healthy === 0) return { rung: "requeue", why: `none of its nodes is left: ${names}` };
  if (input.lent) return { rung: "requeue", why: `without ${names}; a spare that is lent is taken back for it` };
  if (hold === 0) return { rung: "requeue", why: `without ${names}, for which there is no replacement now` };
  if (input.othersHold) return { rung: "requeue", why: `without ${names}; another job already holds nodes while it waits for a replacement here` };
  if (held !== null && held >= hold) return { rung: "requeue", why: `no replacement for ${names} was found within recovery.hold, ${hold} s` };
  return {
    rung: "hold",
    left: hold - (held ?? 0),
    why: `it holds ${healthy} healthy nodes for at most ${hold} s while a replacement for ${names} is looked for`,
  };
}

export interface Standby {
  node: string;
  health: string;
  /** Its place in the fabric, outermost first. */
  fabric: readonly string[];
  /** Held back for this. */
  spare: boolean;
  /** Thousandths held of each device. */
  held: readonly number[];
  cpus: number;
  memory: number;
}

export interface Need {
  node: string;
  fabric: readonly string[];
  /** How many levels of the fabric a replacement must share with it. */
  shared: number;
  devices: number;
  share: number;
  cpus: number;
  memory: number;
}

/**
 * For each node that is out another: one that is well before one that is suspect, near before far, held back for this before others.
 * @returns null where not all can be replaced
 */
export function replace(needs: readonly Need[], standbys: readonly Standby[]): { node: string; devices: number[] }[] | null {
  const used = new Set<string>();
  const found: { node: string; devices: number[] }[] = [];
  for (const need of needs) {
    const near = (one: Standby): number => {
      const differs = one.fabric.findIndex((level, index) => level !== need.fabric[index]);
      return differs < 0 ? one.fabric.length : differs;
    };
    const best = standbys
      .filter((one) => !used.has(one.node) && near(one) >= need.shared && one.cpus >= need.cpus && one.memory >= need.memory)
      .flatMap((one) => {
        const devices = one.held.flatMap((held, device) => (held + need.share <= 1000 ? [device] : [])).slice(0, need.devices);
        return devices.length === need.devices ? [{ one, devices }] : [];
      })
      .sort(
        ({ one: a }, { one: b }) =>
          Number(b.health !== "suspect") - Number(a.health !== "suspect") ||
          near(b) - near(a) ||
          Number(b.spare) - Number(a.spare) ||
          (a.node < b.node ? -1 : 1),
      )[0];
    if (!best) return null;
    used.add(best.one.node);
    found.push({ node: best.one.node, devices: best.devices });
  }
  return found;
}
