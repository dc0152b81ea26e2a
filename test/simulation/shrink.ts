import type { Fault } from "./faults.ts";

/**
 * The fewest faults that are found to still fail, by leaving out halves, quarters and so on down to single ones (Zeller's ddmin).
 * @param fails whether a run with only these fails @param tries runs at most
 */
export async function shrink(faults: readonly Fault[], fails: (only: readonly Fault[]) => Promise<boolean>, tries: number): Promise<Fault[]> {
  let left = [...faults];
  for (let size = Math.ceil(left.length / 2), tried = 0; size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < left.length; ) {
      if (tried++ >= tries) return left;
      const fewer = [...left.slice(0, from), ...left.slice(from + size)];
      if (await fails(fewer)) left = fewer;
      else from += size;
    }
  }
  return left;
}
