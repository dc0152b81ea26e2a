import { useEffect, useState } from "react";
import { Icon } from "./icons.tsx";

/** A text that a click copies; says so when done. */
export function Copy({ text, label }: { text: string; label: string }): React.ReactNode {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button
      type="button"
      className="copy mono"
      title={label}
      onClick={() =>
        void navigator.clipboard.writeText(text).then(
          () => setDone(true),
          () => undefined,
        )
      }
    >
      {text} {done ? <span aria-live="polite">copied</span> : <Icon name="copy" size={12} />}
    </button>
  );
}
