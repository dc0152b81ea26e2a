import { useNavigate } from "@tanstack/react-router";
import type { AttemptView, JobView } from "@muster/model";
import { useMemo } from "react";
import type { CheckpointView } from "../../api/queries.ts";
import { duration, plural } from "../../lib/format.ts";
import { layTimeline, placeOf } from "../../lib/timeline.ts";
import type { Phase, Segment, Timeline, TimelineRow } from "../../lib/timeline.ts";
import { attemptLook, FAILURE_WORDS, waits } from "../../lib/words.ts";
import { useNow } from "../../ui/clock.ts";
import { Notice } from "../../ui/notice.tsx";
import { ShapeMark } from "../../ui/shape.tsx";
import { useWidth } from "../../ui/table.tsx";

const PHASES: readonly (readonly [Phase, string])[] = [
  ["waiting", "waiting"],
  ["scheduled", "scheduled"],
  ["starting", "starting"],
  ["running", "running"],
  ["stopping", "stopping"],
];
const ROW = 30;
const BAR = 14;
const LEFT = 34;
/** Of a mark's label and the gap to the next (pixels). */
const LABEL = 58;
/** Every phase that was can be seen, however short (pixels). */
const LEAST = 3;

/** A job's life as a picture: a row for each attempt, its phases, how it ended, and the checkpoints that were committed. */
export function TimelinePanel({
  job,
  attempts,
  checkpoints,
}: {
  job: JobView;
  attempts: readonly AttemptView[];
  checkpoints: readonly CheckpointView[];
}): React.ReactNode {
  const now = useNow();
  const moving = job.finished_at === null;
  const until = moving ? now : Date.parse(job.finished_at ?? "");
  const timeline = useMemo(() => layTimeline(job, attempts, waits(job.state), until), [job, attempts, until]);
  const [frame, width] = useWidth<HTMLDivElement>();
  return (
    <section className="panel" aria-labelledby="timeline">
      <header>
        <h2 id="timeline">Timeline</h2>
        <span className="phases" aria-hidden="true">
          {PHASES.map(([phase, word]) => (
            <span key={phase}>
              <i data-phase={phase} />
              {word}
            </span>
          ))}
          <span>
            <i className="tick" />
            checkpoint
          </span>
        </span>
        <span className="more">{duration((timeline.to - timeline.from) / 1000)} since submission</span>
      </header>
      <div className="timeline" ref={frame}>
        {timeline.rows.length === 0 ? (
          <Notice title="No attempt yet" />
        ) : width > 0 ? (
          <Picture timeline={timeline} width={width} job={job} checkpoints={checkpoints} moving={moving} />
        ) : null}
      </div>
    </section>
  );
}

function Picture({
  timeline,
  width,
  job,
  checkpoints,
  moving,
}: {
  timeline: Timeline;
  width: number;
  job: JobView;
  checkpoints: readonly CheckpointView[];
  moving: boolean;
}): React.ReactNode {
  const navigate = useNavigate();
  const inner = Math.max(60, width - LEFT - 26);
  const x = (moment: number): number => LEFT + placeOf(timeline, moment) * inner;
  const height = timeline.rows.length * ROW + 24;
  const [first, second] = timeline.ticks;
  const every = first && second ? Math.ceil(LABEL / Math.max(1, x(second.at) - x(first.at))) : 1;
  const marks = timeline.ticks.filter((tick, index) => index % every === 0 && (index === 0 || x(tick.at) < width - 40));
  return (
    <svg width={width} height={height} role="group" aria-label={`Timeline of ${plural(timeline.rows.filter((row) => row.attempt).length, "attempt")}`}>
      {marks.map((tick) => (
        <g key={tick.at} className="mark">
          <line x1={x(tick.at)} x2={x(tick.at)} y1={0} y2={height - 18} />
          <text x={x(tick.at)} y={height - 5} textAnchor={tick.at === timeline.from ? "start" : "middle"}>
            {tick.label}
          </text>
        </g>
      ))}
      {timeline.rows.map((row, index) => (
        <Row
          key={row.attempt?.number ?? "now"}
          row={row}
          top={index * ROW}
          x={x}
          edge={LEFT + inner}
          checkpoints={checkpoints.filter((checkpoint) => checkpoint.attempt === row.attempt?.number)}
          onOpen={(attempt) => void navigate({ to: "/jobs/$job", params: { job: job.id }, search: { tab: "workers", attempt } })}
        />
      ))}
      {moving ? <line className="now" x1={LEFT + inner} x2={LEFT + inner} y1={0} y2={height - 18} /> : null}
    </svg>
  );
}

interface RowProps {
  row: TimelineRow;
  top: number;
  edge: number;
  x: (moment: number) => number;
  checkpoints: readonly CheckpointView[];
  onOpen: (attempt: number) => void;
}

function Row({ row, top, edge, x, checkpoints, onOpen }: RowProps): React.ReactNode {
  const { attempt } = row;
  const middle = top + ROW / 2;
  const bars = layBars(row.segments, x, edge);
  const look = attempt ? attemptLook(attempt) : undefined;
  const end = bars.at(-1);
  const note = noteOf(row);
  // The note stands after the bars where there is room, else before them, else on the widest.
  const room = end ? edge - (end.left + end.width) : 0;
  const begin = bars[0]?.left ?? LEFT;
  const noteWidth = note.length * 6.2 + 22;
  const widest = bars.reduce<Bar | undefined>((most, bar) => (bar.segment.phase !== "waiting" && bar.width > (most?.width ?? 0) ? bar : most), undefined);
  const noteAt =
    room > noteWidth
      ? { x: (end?.left ?? 0) + (end?.width ?? 0) + 20, anchor: "start" as const }
      : begin - LEFT > noteWidth
        ? { x: begin - 6, anchor: "end" as const }
        : widest && widest.width > noteWidth
          ? { x: widest.left + 8, anchor: "start" as const, inside: true }
          : undefined;
  const summary = attempt
    ? `Attempt ${attempt.number}: ${look?.label ?? attempt.state}${note ? `, ${note}` : ""}. ${row.segments.map((segment) => `${segment.phase} ${duration((segment.to - segment.from) / 1000)}`).join(", ")}`
    : `Waiting for ${duration(((row.segments[0]?.to ?? 0) - (row.segments[0]?.from ?? 0)) / 1000)}`;
  const open = (): void => {
    if (attempt) onOpen(attempt.number);
  };
  return (
    <g
      className={attempt ? "attempt" : "attempt still"}
      {...(attempt
        ? { role: "button", tabIndex: 0, onClick: open, onKeyDown: (event: React.KeyboardEvent) => event.key === "Enter" && open() }
        : { role: "img" })}
      aria-label={summary}
    >
      <rect className="hit" x={0} y={top} width={edge + 26} height={ROW} rx={4} />
      <text className="number" x={6} y={middle + 4}>
        {attempt ? `#${attempt.number}` : "now"}
      </text>
      {bars.map((bar) => (
        <rect
          key={`${bar.segment.phase}${bar.segment.from}`}
          data-phase={bar.segment.phase}
          x={bar.left}
          y={middle - (bar.segment.phase === "waiting" ? 1.5 : BAR / 2)}
          width={bar.width}
          height={bar.segment.phase === "waiting" ? 3 : BAR}
          rx={bar.segment.phase === "waiting" ? 1.5 : 2}
        >
          <title>
            {bar.segment.phase} {duration((bar.segment.to - bar.segment.from) / 1000)}
            {bar.segment.open ? " so far" : ""}
          </title>
        </rect>
      ))}
      {checkpoints.slice(-200).map((checkpoint) => (
        <line
          key={checkpoint.id}
          className="checkpoint"
          x1={x(Date.parse(checkpoint.accepted_at))}
          x2={x(Date.parse(checkpoint.accepted_at))}
          y1={middle - BAR / 2 - 3}
          y2={middle - BAR / 2 + 3}
        >
          <title>checkpoint at step {checkpoint.step}</title>
        </line>
      ))}
      {row.end !== undefined && look !== undefined && end !== undefined ? (
        <g data-tone={look.tone} className="toned" transform={`translate(${end.left + end.width + 3} ${middle - 6.5})`}>
          <ShapeMark shape={look.shape} />
        </g>
      ) : null}
      {noteAt && note ? (
        <text className={"inside" in noteAt ? "note inside" : "note"} x={noteAt.x} y={middle + 4} textAnchor={noteAt.anchor}>
          {note}
        </text>
      ) : null}
      <title>{summary}</title>
    </g>
  );
}

interface Bar {
  segment: Segment;
  left: number;
  width: number;
}

function layBars(segments: readonly Segment[], x: (moment: number) => number, edge: number): Bar[] {
  let from = 0;
  return segments.map((segment) => {
    const left = Math.max(from, x(segment.from));
    const width = Math.max(LEAST, Math.min(edge, x(segment.to)) - left);
    from = left + width;
    return { segment, left, width };
  });
}

function noteOf(row: TimelineRow): string {
  const { attempt } = row;
  if (!attempt) return "";
  const { failure } = attempt;
  const cause = failure ? FAILURE_WORDS[failure.class].toLowerCase() : "";
  const how = failure ? (failure.signal ?? (failure.exit_code === null ? failure.rule.replaceAll("_", " ") : `exit ${failure.exit_code}`)) : "";
  const parts = [how === "" || how === cause ? cause : `${cause}: ${how}`, (row.stepsLost ?? 0) > 0 ? `${row.stepsLost} steps made again` : ""];
  return parts.filter(Boolean).join(" · ");
}
