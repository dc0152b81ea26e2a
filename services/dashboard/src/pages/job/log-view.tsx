import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { ApiError } from "../../api/client.ts";
import { cleanLine, findLines, gravity } from "../../lib/log-buffer.ts";
import { bytes, plural } from "../../lib/format.ts";
import { Icon } from "../../ui/icons.tsx";
import { Failure, Notice, Skeleton } from "../../ui/notice.tsx";
import type { Log } from "./use-log.ts";

const LINE = 18;

interface Props {
  log: Log;
  follow: boolean;
  onFollow: (follow: boolean) => void;
  find: string;
  onFind: (find: string) => void;
}

/** Lines as a terminal would leave them, following the end unless one scrolls away from it. */
export function LogView({ log, follow, onFollow, find, onFind }: Props): React.ReactNode {
  const { state } = log;
  const scroller = useRef<HTMLDivElement>(null);
  const [stuck, setStuck] = useState(true);
  const [typed, setTyped] = useState(find);
  const [hit, setHit] = useState(0);
  const lines = useMemo(() => state.lines.map(cleanLine), [state.lines]);
  const hits = useMemo(() => findLines(lines, find), [lines, find]);
  const longest = useMemo(() => lines.reduce((most, line) => Math.max(most, line.length), 0), [lines]);
  const virtual = useVirtualizer({ count: lines.length, getScrollElement: () => scroller.current, estimateSize: () => LINE, overscan: 30 });

  useEffect(() => {
    const timer = setTimeout(() => typed !== find && onFind(typed), 200);
    return () => clearTimeout(timer);
  }, [typed, find, onFind]);

  useEffect(() => {
    const element = scroller.current;
    if (stuck && element) element.scrollTop = element.scrollHeight;
  }, [stuck, lines.length]);

  // A new search shows its last hit: the newest is mostly the one that is meant.
  const sought = useRef("");
  useEffect(() => {
    if (lines.length === 0 || sought.current === find) return;
    sought.current = find;
    const last = hits.at(-1);
    if (last === undefined) return;
    setHit(hits.length - 1);
    setStuck(false);
    virtual.scrollToIndex(last, { align: "center" });
  }, [find, hits, lines.length, virtual]);

  // Older lines came in front: what was read stays where it was.
  const front = useRef({ first: state.first, count: lines.length });
  useEffect(() => {
    const before = front.current;
    front.current = { first: state.first, count: lines.length };
    const element = scroller.current;
    if (element && before.count > 0 && state.first < before.first && !stuck) element.scrollTop += (lines.length - before.count) * LINE;
  }, [state.first, lines.length, stuck]);

  const jump = (step: number): void => {
    if (hits.length === 0) return;
    const next = (hits.length + hit + step) % hits.length;
    setHit(next);
    setStuck(false);
    virtual.scrollToIndex(hits[next] ?? 0, { align: "center" });
  };
  const toEnd = (): void => {
    setStuck(true);
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
  };
  const current = hits[Math.min(hit, hits.length - 1)];
  const hitSet = useMemo(() => new Set(hits), [hits]);
  const digits = String(state.dropped + lines.length).length;

  return (
    <div className="log">
      <div className="log-tools">
        <span className="log-find">
          <Icon name="search" size={13} />
          <input
            data-filter
            aria-label="Search in this log"
            placeholder="Search in this log  (f)"
            spellCheck={false}
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            onKeyDown={(event) => {
              if (event.key !== "Enter") return;
              event.preventDefault();
              jump(event.shiftKey ? 1 : -1);
            }}
          />
          {find === "" ? null : (
            <>
              <span className={hits.length > 0 ? "muted nowrap" : "toned nowrap"} data-tone="warn">
                {hits.length > 0 ? `${Math.min(hit, hits.length - 1) + 1} of ${hits.length}` : "not found"}
              </span>
              <button type="button" className="button plain small square" aria-label="Hit before" onClick={() => jump(-1)}>
                <Icon name="up" size={12} />
              </button>
              <button type="button" className="button plain small square" aria-label="Next hit" onClick={() => jump(1)}>
                <Icon name="down" size={12} />
              </button>
            </>
          )}
        </span>
        <button type="button" className="button small" aria-pressed={follow} onClick={() => onFollow(!follow)} title="Add lines as they are written">
          Follow
        </button>
        <button type="button" className="button small" onClick={toEnd} disabled={lines.length === 0}>
          <Icon name="down" size={12} />
          End
        </button>
        <span className="faint nowrap log-state" role="status">
          {log.ended ? "complete" : follow && !log.error ? "live" : log.error ? "reconnecting" : "not followed"}
        </span>
      </div>
      {lines.length === 0 ? (
        log.error ? (
          log.error instanceof ApiError && log.error.status === 404 ? (
            <Notice title="Nothing written yet">
              <p>The log appears here as soon as the worker writes.</p>
            </Notice>
          ) : (
            <Failure error={log.error} />
          )
        ) : log.loading ? (
          <Skeleton lines={10} />
        ) : (
          <Notice title={log.ended ? "It wrote nothing" : "Nothing written yet"}>
            {log.ended ? null : <p>The log appears here as soon as the worker writes.</p>}
          </Notice>
        )
      ) : (
        <div
          ref={scroller}
          className="log-lines"
          role="log"
          aria-live="off"
          aria-label="Log lines"
          tabIndex={0}
          onScroll={(event) => {
            const element = event.currentTarget;
            setStuck(element.scrollHeight - element.scrollTop - element.clientHeight < LINE * 1.5);
          }}
        >
          {state.first > 0 ? (
            <button type="button" className="log-older" onClick={log.older}>
              {bytes(state.first)} before this: show more
            </button>
          ) : null}
          <div style={{ height: virtual.getTotalSize(), position: "relative", minWidth: `calc(${longest + digits + 4} * 1ch)` }}>
            {virtual.getVirtualItems().map((item) => {
              const line = lines[item.index] ?? "";
              const mark = item.index === current ? "current" : hitSet.has(item.index) ? "hit" : undefined;
              return (
                <div key={item.key} className="log-line" data-mark={mark} data-gravity={gravity(line)} style={{ transform: `translateY(${item.start}px)` }}>
                  <span className="log-number" style={{ width: `${digits + 1}ch` }} aria-hidden="true">
                    {state.first > 0 ? "" : state.dropped + item.index + 1}
                  </span>
                  <Marked line={line} find={mark ? find : ""} />
                </div>
              );
            })}
          </div>
        </div>
      )}
      {!stuck && lines.length > 0 && !log.ended ? (
        <button type="button" className="pill" onClick={toEnd}>
          Jump to the end
        </button>
      ) : null}
      <span className="hidden-text" role="status">
        {plural(lines.length, "line")}
      </span>
    </div>
  );
}

function Marked({ line, find }: { line: string; find: string }): React.ReactNode {
  const at = find === "" ? -1 : line.toLowerCase().indexOf(find.toLowerCase());
  if (at < 0) return <span>{line}</span>;
  return (
    <span>
      {line.slice(0, at)}
      <mark>{line.slice(at, at + find.length)}</mark>
      {line.slice(at + find.length)}
    </span>
  );
}
