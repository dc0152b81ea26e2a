import { WORKER_VARIABLES } from "@muster/model";
import type { Launch, LaunchContext } from "./types.ts";

/**
 * A job that is handed to an operator whole: all workers are given the same, so none of what only one of them is. Who they are
 * and where they meet is the operator's to say.
 */
export function delegated(
  context: LaunchContext,
  env: Readonly<Record<string, string>>,
  known: Readonly<Record<string, string>>,
): Pick<Launch, "argv" | "env" | "files"> {
  const own = new Set<string>(WORKER_VARIABLES);
  return { argv: context.run, env: { ...env, ...Object.fromEntries(Object.entries(known).filter(([name]) => !own.has(name))) }, files: [] };
}
