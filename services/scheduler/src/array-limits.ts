/** One array with a limit. Elements are kept by index, from `head` on. */
interface Elements {
  limit: number;
  waiting: { id: string; index: number }[];
  head: number;
  /** Waiting, and let through to the engine. */
  open: Set<string>;
  active: Set<string>;
}

/** Lets as many elements of an array through as its limit allows, lowest index first; `open` after each batch of changes. */
export class ArrayLimits {
  readonly #arrays = new Map<string, Elements>();
  readonly #where = new Map<string, { array: Elements; arrayId: string; index: number }>();
  readonly #changed = new Set<Elements>();

  /** An element waits and could start as far as everything else goes. */
  wait(id: string, arrayId: string, index: number, limit: number): void {
    const array = this.#arrays.get(arrayId) ?? { limit, waiting: [], head: 0, open: new Set(), active: new Set() };
    this.#arrays.set(arrayId, array);
    const known = this.#where.has(id);
    if (known && !array.active.delete(id)) return;
    this.#where.set(id, { array, arrayId, index });
    insert(array, { id, index });
    this.#changed.add(array);
  }

  /** An element holds devices. */
  activate(id: string, arrayId: string, index: number, limit: number): void {
    const array = this.#arrays.get(arrayId) ?? { limit, waiting: [], head: 0, open: new Set(), active: new Set() };
    this.#arrays.set(arrayId, array);
    this.#leave(id);
    this.#where.set(id, { array, arrayId, index });
    array.active.add(id);
  }

  /** An element ended, or waits for something else than its turn. */
  remove(id: string): void {
    const place = this.#where.get(id);
    if (!place) return;
    this.#leave(id);
    this.#where.delete(id);
    const { array } = place;
    this.#changed.add(array);
    if (array.active.size === 0 && array.open.size === 0 && array.head >= array.waiting.length) this.#arrays.delete(place.arrayId);
  }

  isOpen(id: string): boolean {
    const place = this.#where.get(id);
    return !place || place.array.open.has(id) || place.array.active.has(id);
  }

  /** Numbers for the reason of an element that waits for its turn. */
  standing(id: string): { limit: number; active: number } | undefined {
    const array = this.#where.get(id)?.array;
    return array && { limit: array.limit, active: array.active.size };
  }

  /** Lets elements through where there is room. @returns those whose turn came */
  open(): string[] {
    const opened = [...this.#changed].flatMap((array) => fill(array));
    this.#changed.clear();
    return opened;
  }

  #leave(id: string): void {
    const place = this.#where.get(id);
    if (!place || place.array.open.delete(id) || place.array.active.delete(id)) return;
    const at = find(place.array, place.index);
    if (place.array.waiting[at]?.id === id) place.array.waiting.splice(at, 1);
  }
}

function fill(array: Elements): string[] {
  const opened: string[] = [];
  while (array.open.size + array.active.size < array.limit && array.head < array.waiting.length) {
    const next = array.waiting[array.head++];
    if (!next) break;
    array.open.add(next.id);
    opened.push(next.id);
  }
  if (array.head > 1024 && array.head * 2 > array.waiting.length) {
    array.waiting.splice(0, array.head);
    array.head = 0;
  }
  return opened;
}

/** Position of an index among those that still wait. */
function find(array: Elements, index: number): number {
  let low = array.head;
  let high = array.waiting.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((array.waiting[middle]?.index ?? 0) < index) low = middle + 1;
    else high = middle;
  }
  return low;
}

function insert(array: Elements, element: { id: string; index: number }): void {
  const last = array.waiting.at(-1);
  if (!last || array.head >= array.waiting.length || last.index < element.index) array.waiting.push(element);
  else array.waiting.splice(find(array, element.index), 0, element);
}
