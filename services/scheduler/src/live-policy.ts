import { placementSettings } from "@muster/model";
import type { PlacementEngine } from "@muster/placement";
import { policyOf } from "@muster/store";
import type { Logger } from "pino";
import { z } from "zod";

/** Follows the placement settings while jobs run. A value that is refused leaves all as it was, and is said once. */
export class LivePolicy {
  readonly #engine: PlacementEngine;
  readonly #logger: Logger;
  #text = "{}";
  #keys: string[] = [];

  constructor(engine: PlacementEngine, logger: Logger) {
    this.#engine = engine;
    this.#logger = logger;
  }

  /** @returns false where a setting was taken back, whose default only a new engine knows */
  apply(settings: unknown): boolean {
    const text = JSON.stringify(settings ?? {});
    if (text === this.#text) return true;
    this.#text = text;
    const parsed = placementSettings.safeParse(settings ?? {});
    if (!parsed.success) {
      this.#logger.error({ why: z.prettifyError(parsed.error) }, "the placement settings are refused; those before stay");
      return true;
    }
    const policy = policyOf(parsed.data);
    const before = this.#keys;
    this.#keys = Object.keys(policy);
    if (before.some((key) => !this.#keys.includes(key))) return false;
    this.#engine.setPolicy(policy);
    this.#logger.info({ policy }, "placement settings applied");
    return true;
  }
}
