import { mkdir, readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";

/** `<epoch of the leadership>-<number>.jsonl`, compressed once it is closed. */
const NAME = /^(\d+)-(\d+)\.jsonl(?:\.gz(?:\.part)?)?$/;

/** The path of the next recording of a leadership; makes the folder. */
export async function nextPart(folder: string, epoch: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const numbers = (await readdir(folder)).map((name) => NAME.exec(name)).filter((match) => match?.[1] === epoch);
  return join(folder, `${epoch}-${1 + Math.max(0, ...numbers.map((match) => Number(match?.[2])))}.jsonl`);
}

/** Removes the oldest recordings until the others take no more than that many bytes. @param keep one that is being written */
export async function prune(folder: string, totalBytes: number, keep?: string): Promise<void> {
  const found = await Promise.all(
    (await readdir(folder))
      .filter((name) => NAME.test(name))
      .map((name) => join(folder, name))
      .filter((path) => path !== keep)
      // another one may have removed it by now
      .map(async (path) =>
        stat(path).then(
          ({ mtimeMs, size }) => ({ path, mtimeMs, size }),
          () => undefined,
        ),
      ),
  );
  let total = 0;
  for (const one of found.filter((file) => file !== undefined).sort((a, b) => b.mtimeMs - a.mtimeMs)) {
    total += one.size;
    if (total > totalBytes) await unlink(one.path).catch(() => {});
  }
}
