import { z } from "zod";
import { AnswerError } from "./errors.ts";

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export const pageOf = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item), next_cursor: z.string().nullable().default(null) });

/** Every item of a list, fetched page by page as they are asked for. */
export async function* allPages<T>(fetchPage: (cursor: string | undefined) => Promise<Page<T>>): AsyncGenerator<T> {
  let cursor: string | undefined;
  for (;;) {
    const page = await fetchPage(cursor);
    yield* page.items;
    if (page.next_cursor === null) return;
    if (page.next_cursor === cursor) throw new AnswerError("the server gave the same page twice; asking on would never end");
    cursor = page.next_cursor;
  }
}
