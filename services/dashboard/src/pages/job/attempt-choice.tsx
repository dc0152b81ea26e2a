import type { AttemptView } from "@muster/model";
import { attemptLook } from "../../lib/words.ts";

/** Picks an attempt; the newest is what one mostly wants. */
export function AttemptChoice({
  attempts,
  value,
  current,
  onPick,
}: {
  attempts: readonly AttemptView[];
  value: number;
  current: number;
  onPick: (attempt: number) => void;
}): React.ReactNode {
  const known = [...attempts].sort((a, b) => b.number - a.number);
  return (
    <label className="spread">
      <span className="muted">Attempt</span>
      <select className="input" style={{ height: 26 }} value={value} onChange={(event) => onPick(Number(event.target.value))}>
        {known.some((attempt) => attempt.number === value) ? null : <option value={value}>{value}</option>}
        {known.map((attempt) => (
          <option key={attempt.number} value={attempt.number}>
            {attempt.number}
            {attempt.number === current ? " (newest)" : ""} · {attemptLook(attempt).label.toLowerCase()}
          </option>
        ))}
      </select>
    </label>
  );
}
