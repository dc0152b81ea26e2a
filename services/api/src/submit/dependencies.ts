import { findDependencies, type NewDependency, type Pool } from "@muster/store";
import { Problem } from "../problems/problem.ts";
import type { Prepared } from "./prepare.ts";

/** Jobs that one job may wait for, elements of arrays counted one by one. */
const MOST = 10_000;

/**
 * What each job of a request waits for. `after` names a job of the same request, or an id or the newest job of that name in
 * the project; an array stands for all of its elements.
 * @param ids of each prepared job, one for each element
 * @throws Problem unknown_dependency, dependency_cycle, invalid
 */
export async function bindDependencies(pool: Pool, all: readonly Prepared[], ids: readonly (readonly string[])[]): Promise<NewDependency[][]> {
  refuseCycles(all);
  const bound: NewDependency[][] = [];
  for (const { resolved, path } of all) {
    const dependencies = new Map<string, NewDependency>();
    for (const [index, { job, on }] of resolved.after.entries()) {
      const sibling = siblingOf(all, resolved.project, job);
      const found = sibling >= 0 ? (ids[sibling] as readonly string[]) : await findDependencies(pool, resolved.project, job, MOST + 1);
      const field = `${path}after[${index}].job`;
      if (found.length === 0) throw refuse("unknown_dependency", field, `there is no job ${job} in project ${resolved.project}`);
      for (const id of found) dependencies.set(`${id} ${on}`, { on: id, condition: on, state: "open" });
      if (dependencies.size > MOST) throw refuse("invalid", field, `a job can't wait for more than ${MOST} others`);
    }
    bound.push([...dependencies.values()]);
  }
  return bound;
}

function siblingOf(all: readonly Prepared[], project: string, name: string): number {
  return all.length > 1 ? all.findIndex((one) => one.resolved.project === project && one.resolved.name === name) : -1;
}

/** Only jobs of one request can wait for each other: what exists already waits for nothing new. */
function refuseCycles(all: readonly Prepared[]): void {
  if (all.length < 2) return;
  const state = new Map<number, "open" | "done">();
  const visit = (at: number, trail: readonly string[]): void => {
    state.set(at, "open");
    const { resolved, path } = all[at] as Prepared;
    for (const [index, { job }] of resolved.after.entries()) {
      const next = siblingOf(all, resolved.project, job);
      if (next < 0 || state.get(next) === "done") continue;
      const names = [...trail, resolved.name];
      if (state.get(next) === "open") {
        const from = names.indexOf(job);
        throw refuse("dependency_cycle", `${path}after[${index}].job`, `this is a cycle: ${[...names.slice(Math.max(0, from)), job].join(" waits for ")}`);
      }
      visit(next, names);
    }
    state.set(at, "done");
  };
  for (const index of all.keys()) if (!state.has(index)) visit(index, []);
}

function refuse(code: "unknown_dependency" | "dependency_cycle" | "invalid", path: string, message: string): Problem {
  return new Problem(code, `${path}: ${message}`, { errors: [{ path, message }] });
}
