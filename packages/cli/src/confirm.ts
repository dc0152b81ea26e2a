import { createInterface } from "node:readline/promises";
import type { Session } from "./session.ts";

/** Asks before something that can't be taken back. Only a person is asked: without a terminal, or with -y, it is taken as agreed. */
export async function confirm(session: Session, question: string, yes: boolean | undefined): Promise<boolean> {
  const { stdin, stderr, signal } = session.io;
  if (yes || stdin.isTTY !== true || stderr.isTTY !== true) return true;
  const reader = createInterface({ input: stdin, output: stderr as unknown as NodeJS.WritableStream });
  try {
    const answer = await reader.question(`${question} [y/N] `, { signal });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    reader.close();
  }
}
