/*
 * Keys of the whole app. A bare key never changes anything in the cluster: it moves, opens or closes.
 */

export interface ListKeys {
  move: (step: number) => void;
  open: () => void;
}

const lists: ListKeys[] = [];
/** Gives j, k and Enter to a list until the returned function is called; the newest list has them. */
export function bindList(list: ListKeys): () => void {
  lists.push(list);
  return () => {
    lists.splice(lists.indexOf(list), 1);
  };
}

export interface ShellKeys {
  go: (letter: string) => void;
  search: () => void;
  help: () => void;
  filter: () => void;
  escape: () => void;
}

/** How long (milliseconds) `g` waits for its second letter. */
const CHORD = 1200;

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
const inDialog = (): boolean => document.querySelector("[role=dialog],[role=alertdialog],[role=menu]") !== null;

export function listenKeys(keys: ShellKeys): () => void {
  let chordUntil = 0;
  const onKey = (event: KeyboardEvent): void => {
    if (event.defaultPrevented) return;
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      keys.search();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || inDialog()) return;
    if (event.key === "Escape") {
      if (typing(event.target)) (event.target as HTMLElement).blur();
      else keys.escape();
      return;
    }
    if (typing(event.target)) return;
    if (Date.now() < chordUntil) {
      chordUntil = 0;
      keys.go(event.key);
      return;
    }
    const list = lists.at(-1);
    switch (event.key) {
      case "g":
        chordUntil = Date.now() + CHORD;
        break;
      case "/":
        event.preventDefault();
        keys.search();
        break;
      case "?":
        keys.help();
        break;
      case "f":
        event.preventDefault();
        keys.filter();
        break;
      case "j":
        list?.move(1);
        break;
      case "k":
        list?.move(-1);
        break;
      case "Enter":
        if (event.target === document.body) list?.open();
        break;
      default:
    }
  };
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}
