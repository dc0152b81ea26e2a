/** A level, not a queue: any number of `set` before a `wait` wake it once. */
export class Signal {
  #set = false;
  #wake: (() => void) | undefined;

  set(): void {
    this.#set = true;
    this.#wake?.();
  }

  /** Resolves when set, or after the time (ms), or when aborted; clears the level. @returns whether it was set */
  async wait(milliseconds: number, abort: AbortSignal): Promise<boolean> {
    if (!this.#set && !abort.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          abort.removeEventListener("abort", done);
          this.#wake = undefined;
          resolve();
        };
        const timer = setTimeout(done, milliseconds);
        abort.addEventListener("abort", done);
        this.#wake = done;
      });
    }
    const wasSet = this.#set;
    this.#set = false;
    return wasSet;
  }
}
