import { useSyncExternalStore } from "react";

/*
 * The token of this tab. It arrives once in the URL's fragment, which browsers never send to a server, or is typed in; it
 * lives in sessionStorage until the tab closes. A new tab asks the others of this origin for it.
 */

const KEY = "muster.token";
const CHANNEL = "muster.session";
const listeners = new Set<() => void>();
let token: string | null = null;

function set(next: string | null): void {
  token = next;
  if (next === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, next);
  for (const listener of listeners) listener();
}

/** Takes the token out of `#token=...`, and the fragment out of the address bar and the history. */
export function tokenOfFragment(hash: string): string | undefined {
  const value = new URLSearchParams(hash.replace(/^#/, "")).get("token")?.trim();
  return value ? value : undefined;
}

/** Finds the token before the first page is drawn. */
export async function openSession(): Promise<void> {
  const given = tokenOfFragment(location.hash);
  if (given !== undefined) {
    history.replaceState(history.state, "", location.pathname + location.search);
    set(given);
  } else {
    token = sessionStorage.getItem(KEY);
  }
  const channel = new BroadcastChannel(CHANNEL);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel reaches its own origin only
  const tell = (message: { ask: true } | { token: string }): void => channel.postMessage(message);
  const answer = new Promise<string | null>((resolve) => {
    channel.addEventListener("message", ({ data }: MessageEvent<{ ask?: true; token?: string }>) => {
      if (data.ask && token !== null) tell({ token });
      if (typeof data.token === "string") resolve(data.token);
    });
    setTimeout(() => resolve(null), 120);
  });
  if (token !== null) return;
  tell({ ask: true });
  const shared = await answer;
  if (shared !== null && token === null) set(shared);
}

export const currentToken = (): string | null => token;
export const signIn = (next: string): void => set(next.trim());
export const signOut = (): void => set(null);

export const useToken = (): string | null =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => token,
  );
