import type { Shape } from "../lib/words.ts";

const stroke = { fill: "none", stroke: "currentColor", strokeWidth: 1.7, strokeLinecap: "round", strokeLinejoin: "round" } as const;

/** The mark of a state: told apart by form alone, so that colour only helps. */
function draw(shape: Shape): React.ReactNode {
  switch (shape) {
    case "ring":
      return <circle cx="7" cy="7" r="4.7" {...stroke} />;
    case "dot-ring":
      return (
        <>
          <circle cx="7" cy="7" r="4.9" {...stroke} />
          <circle cx="7" cy="7" r="2" fill="currentColor" />
        </>
      );
    case "half":
      return (
        <>
          <circle cx="7" cy="7" r="4.9" {...stroke} />
          <path d="M7 2.1a4.9 4.9 0 0 1 0 9.8z" fill="currentColor" />
        </>
      );
    case "play":
      return <path d="M3.2 1.9v10.2a.6.6 0 0 0 .9.5l8.3-5.1a.6.6 0 0 0 0-1L4.1 1.400a.6.6 0 0 0-.9.5z" fill="currentColor" />;
    case "loop":
      return <path d="M11.7 5.200A5 5 0 1 0 12 7.600M12.3 2v3.400H8.9" {...stroke} />;
    case "square":
      return <rect x="2.7" y="2.7" width="8.6" height="8.6" rx="1.2" {...stroke} />;
    case "pause":
      return (
        <>
          <rect x="3" y="2.2" width="2.7" height="9.6" rx=".8" fill="currentColor" />
          <rect x="8.3" y="2.2" width="2.7" height="9.6" rx=".8" fill="currentColor" />
        </>
      );
    case "check":
      return <path d="M2.4 7.600l3 3 6.2-6.8" {...stroke} strokeWidth={2} />;
    case "cross":
      return <path d="M3 3l8 8M11 3l-8 8" {...stroke} strokeWidth={2.2} />;
    case "slash":
      return (
        <>
          <circle cx="7" cy="7" r="4.9" {...stroke} />
          <path d="M3.7 10.300l6.6-6.6" {...stroke} />
        </>
      );
    case "triangle":
      return (
        <>
          <path d="M7 1.900l5.6 9.900H1.400z" {...stroke} />
          <path d="M7 5.600v2.700M7 10v.1" {...stroke} />
        </>
      );
    case "wrench":
      return <path d="M2.5 11.500l4-4M6.2 5a2.9 2.9 0 0 1 3.7-3L8 3.900l2.1 2.100L12 4.100a2.9 2.9 0 0 1-3.9 3.7" {...stroke} />;
    default:
      return <circle cx="7" cy="7" r="3.8" fill="currentColor" />;
  }
}

export function ShapeMark({ shape, size = 13 }: { shape: Shape; size?: number }): React.ReactNode {
  return (
    <svg width={size} height={size} viewBox="0 0 14 14" aria-hidden="true">
      {draw(shape)}
    </svg>
  );
}
