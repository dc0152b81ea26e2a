const line = { fill: "none", stroke: "currentColor", strokeWidth: 1.6, strokeLinecap: "round", strokeLinejoin: "round" } as const;
const PATHS = {
  search: "M7 11.500a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.5 10.500L14 14",
  help: "M5.7 5.600a2.4 2.4 0 1 1 3.5 2.200c-.8.4-1.2.9-1.2 1.700M8 12.300v.1",
  more: "M3 8h.1M8 8h.1M13 8h.1",
  copy: "M5.5 5.500h8v8h-8zM10.5 5.500v-3h-8v8h3",
  down: "M8 2.500v10M4 8.500l4 4 4-4",
  up: "M8 13.500v-10M4 7.500l4-4 4 4",
  close: "M4 4l8 8M12 4l-8 8",
  filter: "M2 3.500h12M4.5 8h7M6.5 12.500h3",
  out: "M6 2.500H3v11h3M10 5l3 3-3 3M13 8H6",
  save: "M8 2.500v7M5 7l3 3 3-3M2.5 13h11",
  user: "M8 8a2.7 2.7 0 1 0 0-5.400A2.7 2.7 0 0 0 8 8zM2.8 13.600a5.2 5.2 0 0 1 10.4 0",
} as const;
export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 15 }: { name: IconName; size?: number }): React.ReactNode {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" {...line}>
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Mark(): React.ReactNode {
  return (
    <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true" fill="currentColor">
      <rect x="1" y="1.5" width="4" height="15" rx="1.2" />
      <rect x="7" y="6" width="4" height="10.5" rx="1.2" opacity=".6" />
      <rect x="13" y="1.5" width="4" height="15" rx="1.2" />
    </svg>
  );
}
