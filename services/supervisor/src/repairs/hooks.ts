import { readFileSync, statSync } from "node:fs";
import { repairHooksFile, type RepairHook } from "@muster/model";

/** @throws Error that names the file and what is wrong with it */
export function readRepairHooks(path: string): RepairHook[] {
  const { mode, uid } = statSync(path);
  const own = process.getuid?.() ?? 0;
  if ((uid !== own && uid !== 0) || (mode & 0o022) !== 0)
    throw new Error(`${path}: commands are run by it, so that it must belong to the supervisor's user or root, and be writable by nobody else`);
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new Error(`${path}: is no JSON: ${(error as Error).message}`, { cause: error });
  }
  const parsed = repairHooksFile.safeParse(content);
  if (parsed.success) return parsed.data.hooks;
  throw new Error(`${path}: ${parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")}`);
}

export function hookFor(hooks: readonly RepairHook[], pool: string): RepairHook | undefined {
  return hooks.find((hook) => hook.pools === undefined || hook.pools.includes(pool));
}
