/* What processes that hang were doing when they were ended, told so that the one that is elsewhere than the others stands out. */

export interface ProcessStack {
  worker: string;
  node: string;
  pid: number;
  /** Null: the process is no rank. */
  rank: number | null;
  /** As collected, a frame a line. */
  text: string;
}

const LINES = 30;
const FRAMES = 12;

/** Lines for people: alike stacks together, the rarest first, as that is where a gang waits for one of its own. */
export function describeStacks(stacks: readonly ProcessStack[]): string[] {
  const alike = [...Map.groupBy(stacks, ({ text }) => shapeOf(text)).values()].sort((a, b) => a.length - b.length);
  const lines: string[] = [];
  for (const group of alike) {
    const [first] = group;
    if (!first) continue;
    const room = LINES - lines.length;
    if (room < 2) {
      lines.push(`and ${alike.length - alike.indexOf(group)} more kinds of stacks`);
      break;
    }
    const frames = first.text.split("\n").filter((line) => line.trim() !== "");
    lines.push(`${namesOf(group)}:`, ...frames.slice(0, Math.min(FRAMES, room - 1)).map((line) => `  ${line.trimEnd().slice(0, 200)}`));
  }
  return lines;
}

function namesOf(group: readonly ProcessStack[]): string {
  const names = group.map(({ rank, pid, worker, node }) => (rank === null ? `process ${pid} of ${worker} on ${node}` : `rank ${rank} on ${node}`)).sort();
  return names.length <= 4 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
}

/** Numbers differ from process to process where the code doesn't. */
const shapeOf = (text: string): string => text.replace(/0x[\da-f]+|\d+/gi, "#");
