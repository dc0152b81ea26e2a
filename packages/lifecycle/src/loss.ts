import { median } from "./hang.ts";

/** Times the median of the losses before it that a loss must be to count as a jump, and how many are needed to say so. */
const JUMP = 5;
const NEEDED = 8;

export type LossCondition = "loss_nan" | "loss_jump";

/**
 * What is odd about a job's loss. Several causes look the same (data, code, a device that computes wrongly), so that it is only
 * said, not acted on. @param losses newest first; NaN: it was no number
 */
export function judgeLoss(losses: readonly number[]): LossCondition | null {
  const [newest, ...before] = losses;
  if (newest === undefined) return null;
  if (!Number.isFinite(newest)) return "loss_nan";
  const usual = before.filter(Number.isFinite);
  if (usual.length < NEEDED) return null;
  const middle = median(usual);
  return middle > 0 && newest > JUMP * middle ? "loss_jump" : null;
}
