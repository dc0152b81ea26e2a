import { useSyncExternalStore } from "react";

/* What belongs to the person and not to a page: kept in localStorage, never needed to read a link. */

export type Theme = "system" | "dark" | "light";
export type Zone = "utc" | "local";

const listeners = new Set<() => void>();
const read = (key: string): string | null => {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
};
function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A browser that keeps nothing still works; it only forgets.
  }
}

let theme: Theme = (["dark", "light"] as const).find((item) => item === read("muster.theme")) ?? "system";
let zone: Zone = read("muster.zone") === "local" ? "local" : "utc";
const prefersLight = matchMedia("(prefers-color-scheme: light)");

export function applyTheme(): void {
  document.documentElement.dataset["theme"] = theme === "system" ? (prefersLight.matches ? "light" : "dark") : theme;
}
prefersLight.addEventListener("change", applyTheme);

function changed(): void {
  for (const listener of listeners) listener();
}
const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

export function setTheme(next: Theme): void {
  theme = next;
  write("muster.theme", next);
  applyTheme();
  changed();
}
export function setZone(next: Zone): void {
  zone = next;
  write("muster.zone", next);
  changed();
}
export const useTheme = (): Theme => useSyncExternalStore(subscribe, () => theme);
export const useZone = (): Zone => useSyncExternalStore(subscribe, () => zone);
