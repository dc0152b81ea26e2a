import type { Tone } from "../lib/words.ts";

/** A part of a whole as a bar; the figures stand beside it in text. */
export function Meter({ value, of, tone = "run", label }: { value: number; of: number; tone?: Tone; label: string }): React.ReactNode {
  const part = of > 0 ? Math.min(1, Math.max(0, value / of)) : 0;
  return (
    <span
      className="meter"
      data-tone={tone}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={of}
      aria-valuenow={value}
      style={{ display: "block" }}
    >
      <i style={{ width: `${part * 100}%` }} />
    </span>
  );
}
