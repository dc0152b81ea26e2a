import { binaries } from "./control-plane/binaries.ts";
import { Missing } from "./control-plane/build.ts";
import { READY } from "./ready.ts";

/** Finds or builds what the suite runs. Where that can't be, its tests are skipped and one line says what they need. */
export default async function setup(): Promise<void> {
  const say = (line: string): boolean => process.stderr.write(`kubernetes: ${line}\n`);
  try {
    if (process.getuid?.() !== 0) throw new Missing("needs root, as its pods run in namespaces of their own");
    await binaries(say);
    process.env[READY] = "yes";
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    say(`skipped, ${error.message}`);
  }
}
