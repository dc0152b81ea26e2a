import { compareShapes } from "./mix.ts";
import type { ExpectedShape } from "./mix.ts";
import type { Shape } from "./shape.ts";

/** Submissions after which one counts half: a cluster's mix moves within weeks, and a few thousand jobs describe it. */
const HALF_LIFE = 10_000;
const FIRST_REFRESH = 32;
const REFRESH_GROWTH = 1.4;

/**
 * The mix to expect, learned from what is submitted. Newer submissions count more. The mix given out is renewed
 * now and then only, because everything rated by it must then be rated again.
 */
export class ArrivalMix {
  #counts = new Map<Shape, number>();
  #weight = 1;
  #total = 0;
  #sinceRenewal = 0;
  #renewAfter = FIRST_REFRESH;
  #current: ExpectedShape[] = [];

  /** Expected shapes, most frequent first; weights add up to one. Empty until enough was seen. */
  get current(): readonly ExpectedShape[] {
    return this.#current;
  }

  /** Counts one submission; true where `current` has been renewed. */
  observe(shape: Shape): boolean {
    this.#counts.set(shape, (this.#counts.get(shape) ?? 0) + this.#weight);
    this.#total += this.#weight;
    this.#weight *= 2 ** (1 / HALF_LIFE);
    if (++this.#sinceRenewal < this.#renewAfter) return false;
    this.#sinceRenewal = 0;
    this.#renewAfter = Math.min(Math.ceil(this.#renewAfter * REFRESH_GROWTH), HALF_LIFE / 4);
    this.#renew();
    return true;
  }

  #renew(): void {
    for (const [shape, count] of this.#counts) {
      const now = count / this.#weight;
      // Not seen for fifteen half-lives: no longer part of the mix.
      if (now < 2 ** -15) this.#counts.delete(shape);
      else this.#counts.set(shape, now);
    }
    this.#total /= this.#weight;
    this.#weight = 1;
    this.#current = [...this.#counts]
      .map(([shape, count]) => ({ shape, weight: count / this.#total }))
      .sort((a, b) => b.weight - a.weight || compareShapes(a.shape, b.shape));
  }
}
