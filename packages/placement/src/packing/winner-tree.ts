/**
 * A tournament over nodes: the best key at the root, a changed key costs log2(n) comparisons.
 * The lowest position wins a tie.
 */
export class WinnerTree {
  readonly keys: Float64Array;
  readonly #winner: Int32Array;
  readonly #leaves: number;

  constructor(count: number) {
    this.keys = new Float64Array(count).fill(Number.NEGATIVE_INFINITY);
    this.#leaves = 1 << Math.ceil(Math.log2(Math.max(count, 1)));
    this.#winner = new Int32Array(2 * this.#leaves).fill(-1);
  }

  /** Settles every game; call after writing many keys. */
  rebuild(): void {
    for (let i = 0; i < this.keys.length; i++) this.#winner[this.#leaves + i] = i;
    for (let i = this.#leaves - 1; i > 0; i--) this.#play(i);
  }

  update(position: number, key: number): void {
    this.keys[position] = key;
    for (let i = (this.#leaves + position) >> 1; i > 0; i >>= 1) this.#play(i);
  }

  /** Position of the best key, or -1 where no key is above -Infinity. */
  best(): number {
    const winner = this.#leaves === 1 && this.keys.length === 1 ? 0 : this.#winner[1]!;
    return winner >= 0 && this.keys[winner]! > Number.NEGATIVE_INFINITY ? winner : -1;
  }

  #play(i: number): void {
    const left = this.#winner[2 * i]!;
    const right = this.#winner[2 * i + 1]!;
    this.#winner[i] = right >= 0 && (left < 0 || this.keys[right]! > this.keys[left]!) ? right : left;
  }
}
