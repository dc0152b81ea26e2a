/** Strings to dense indices and back. Indices of removed names are used again. */
export class Names {
  readonly #index = new Map<string, number>();
  readonly #names: (string | undefined)[] = [];
  readonly #free: number[] = [];

  /** One past the highest index in use. */
  get size(): number {
    return this.#names.length;
  }

  /** The index of a name, made if it is new. */
  intern(name: string): number {
    const known = this.#index.get(name);
    if (known !== undefined) return known;
    const index = this.#free.pop() ?? this.#names.length;
    this.#names[index] = name;
    this.#index.set(name, index);
    return index;
  }

  /** The index of a name, or -1. */
  find(name: string): number {
    return this.#index.get(name) ?? -1;
  }

  name(index: number): string {
    const name = this.#names[index];
    if (name === undefined) throw new Error(`no name has index ${index}`);
    return name;
  }

  remove(name: string): void {
    const index = this.#index.get(name);
    if (index === undefined) return;
    this.#index.delete(name);
    this.#names[index] = undefined;
    this.#free.push(index);
  }
}

/** Sort key under which `n2` comes before `n10`. */
export function naturalKey(name: string): string {
  return name.replace(/\d+/g, (digits) => digits.padStart(12, "0"));
}
