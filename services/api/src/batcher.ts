export type Outcome<Answer> = { ok: true; value: Answer } | { ok: false; error: unknown };

interface Waiting<Item, Answer> {
  item: Item;
  done: (outcome: Outcome<Answer>) => void;
}

/**
 * Gathers what arrives while a commit is in flight into the next one, so that many durable writes share one flush. A batch
 * that fails as a whole is tried again one by one: a bad neighbour costs time, never the answer.
 */
export class Batcher<Item, Answer> {
  readonly #commit: (items: readonly Item[]) => Promise<Outcome<Answer>[]>;
  readonly #conflict: (item: Item) => string | undefined;
  readonly #most: number;
  readonly #parallel: number;
  #waiting: Waiting<Item, Answer>[] = [];
  #running = 0;
  #idle: (() => void)[] = [];

  /**
   * @param commit writes all of them or (by rejecting) none, and gives one outcome each, in their order
   * @param conflict items of the same text never share a batch
   * @param most items in a batch
   * @param parallel batches in flight: while one is flushed, the next is written
   */
  constructor(commit: (items: readonly Item[]) => Promise<Outcome<Answer>[]>, conflict: (item: Item) => string | undefined, most = 128, parallel = 2) {
    this.#commit = commit;
    this.#conflict = conflict;
    this.#most = most;
    this.#parallel = parallel;
  }

  async submit(item: Item): Promise<Answer> {
    const outcome = await new Promise<Outcome<Answer>>((done) => {
      this.#waiting.push({ item, done });
      this.#start();
    });
    if (outcome.ok) return outcome.value;
    throw outcome.error;
  }

  /** Resolves when everything that was submitted has its answer. */
  async drain(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #start(): void {
    if (this.#running >= this.#parallel) return;
    this.#running++;
    // what else comes with this turn of the event loop joins the first batch
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) await this.#settle(this.#take());
    this.#running--;
    if (this.#running === 0) for (const then of this.#idle.splice(0)) then();
  }

  #take(): Waiting<Item, Answer>[] {
    const batch: Waiting<Item, Answer>[] = [];
    const left: Waiting<Item, Answer>[] = [];
    const seen = new Set<string>();
    for (const one of this.#waiting) {
      const conflict = this.#conflict(one.item);
      if (batch.length >= this.#most || (conflict !== undefined && seen.has(conflict))) left.push(one);
      else {
        if (conflict !== undefined) seen.add(conflict);
        batch.push(one);
      }
    }
    this.#waiting = left;
    return batch;
  }

  async #settle(batch: readonly Waiting<Item, Answer>[]): Promise<void> {
    try {
      const outcomes = await this.#commit(batch.map((one) => one.item));
      for (const [index, one] of batch.entries())
        one.done(outcomes[index] ?? { ok: false, error: new Error("a commit gave fewer outcomes than it had items") });
    } catch (error) {
      if (batch.length === 1) batch[0]?.done({ ok: false, error });
      else for (const one of batch) await this.#settle([one]);
    }
  }
}
