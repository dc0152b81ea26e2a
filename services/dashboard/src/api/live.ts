import type { QueryClient } from "@tanstack/react-query";
import type { EventView } from "@muster/model";
import { useEffect, useSyncExternalStore } from "react";
import { KeyGatherer, staleKeys } from "../lib/stale-keys.ts";
import { reconnectDelay } from "../lib/freshness.ts";
import type { LiveStatus } from "../lib/freshness.ts";
import { readStream } from "./event-source.ts";

/** Changes within this time (milliseconds) become one refresh: of one job, of lists. */
const COALESCE_JOB = 150;
const COALESCE = 400;
/** Lists are not read anew more often than this (milliseconds), however much happens. */
const LIST_INTERVAL = 1500;

export interface LiveState {
  status: LiveStatus;
  /** When the server was last heard from, by stream or by answer. */
  heard: number;
}

let state: LiveState = { status: "connecting", heard: Date.now() };
const listeners = new Set<() => void>();
function change(next: Partial<LiveState>): void {
  state = { ...state, ...next };
  for (const listener of listeners) listener();
}

export const noteAnswer = (): void => change({ heard: Date.now() });
export const useLiveState = (): LiveState =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => state,
  );

/**
 * Polls slowly beside a live stream (progress is no event), quickly without one, never in a hidden tab.
 * @param live,alone milliseconds between answers with and without a stream
 */
export const pollEvery = (live: number, alone: number) => (): number | false => (state.status === "paused" ? false : state.status === "live" ? live : alone);

/** Keeps the page's one stream open while the tab is seen; what it tells only marks answers as out of date. */
export function useLive(client: QueryClient, job: string | undefined): void {
  useEffect(() => {
    const gathered = new KeyGatherer();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    let control: AbortController | undefined;
    let lastEventId: string | undefined;
    let failures = 0;
    let wasHidden = false;
    let flushed = 0;

    const flush = (): void => {
      timer = undefined;
      flushed = Date.now();
      for (const key of gathered.take()) void client.invalidateQueries({ queryKey: key });
    };
    const onEvent = (data: string): void => {
      let event: EventView;
      try {
        event = JSON.parse(data) as EventView;
      } catch {
        return;
      }
      gathered.add(staleKeys(event));
      timer ??= setTimeout(flush, job === undefined ? Math.max(COALESCE, flushed + LIST_INTERVAL - Date.now()) : COALESCE_JOB);
    };
    const connect = (): void => {
      const mine = new AbortController();
      control = mine;
      const query = job === undefined ? "" : `?job=${encodeURIComponent(job)}`;
      const reopened = failures > 0 || wasHidden;
      readStream({
        path: `/v1/events/stream${query}`,
        lastEventId,
        signal: mine.signal,
        onOpen: () => {
          failures = 0;
          wasHidden = false;
          change({ status: "live", heard: Date.now() });
          // What passed while nobody listened may be beyond what the server can replay.
          if (reopened) void client.invalidateQueries();
        },
        onBytes: () => change({ heard: Date.now() }),
        onMessage: (message) => {
          if (message.comment) return;
          if (message.id !== undefined) lastEventId = message.id;
          onEvent(message.data);
        },
      })
        .catch(() => undefined)
        .finally(() => {
          if (mine.signal.aborted) return;
          failures += 1;
          change({ status: "polling" });
          again = setTimeout(connect, reconnectDelay(failures, Math.random()));
        });
    };
    const disconnect = (): void => {
      clearTimeout(again);
      control?.abort();
      control = undefined;
    };
    const onVisibility = (): void => {
      disconnect();
      if (document.hidden) {
        wasHidden = true;
        change({ status: "paused" });
      } else {
        change({ status: "connecting" });
        connect();
      }
    };
    document.addEventListener("visibilitychange", onVisibility);
    onVisibility();
    return () => {
      document.removeEventListener("visibilitychange", onVisibility);
      disconnect();
      clearTimeout(timer);
    };
  }, [client, job]);
}
