import { binaries } from "./control-plane/binaries.ts";
import { Missing } from "./control-plane/build.ts";
import { READY } from "./ready.ts";

/** Finds or builds what the suite runs. Where that can't be, its tests are skipped and one line says what they need. */
export default async function setup(): Promise<void> {
  const say = (line: string): boolean => process.stderr.write(`kubernetes: ${line}\n`);
  try {
    await binaries(say);
    process.env[READY] = "yes";
  } catch (error) {
    if (!(error instanceof Missing)) throw error;
    say(`skipped, ${error.message}`);
  }
}
