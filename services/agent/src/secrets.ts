import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { inside } from "./area.ts";

const SECRET_CAP = 65_536;

/** Values of a job's secrets, from files that only the agent can read. Throws where one is missing, never with a value. */
export function readSecrets(folder: string | undefined, project: string, wanted: readonly { env: string; from: string }[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (const { env, from } of wanted) {
    if (folder === undefined) throw new Error(`secret ${from}: this agent has no secrets_dir`);
    const own = join(folder, project);
    const path = join(own, from);
    let descriptor: number | undefined;
    try {
      if (!inside(realpathSync(own), realpathSync(path))) throw new Error("leads out of the project's secrets");
      descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      const stat = fstatSync(descriptor);
      if (!stat.isFile() || stat.size > SECRET_CAP) throw new Error(`is not a file of at most ${SECRET_CAP} bytes`);
      values[env] = readFileSync(descriptor, "utf8").replace(/\r?\n$/, "");
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      throw new Error(
        `secret ${from} of project ${project} ${code === "ENOENT" ? "isn't there; put its value into that file of the agent's secrets_dir" : `can't be used: ${code ?? (error as Error).message}`}`,
        { cause: error },
      );
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }
  return values;
}
