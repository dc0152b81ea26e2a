import { RE2JS } from "re2js";

/*
 * Users' patterns run over users' output, so both sides are hostile: they are matched by RE2's algorithm, whose time is
 * linear in the line, whatever the pattern.
 */

export interface LinePattern {
  /** Whether the line matches, without saying what; the cheap question. */
  test(line: string): boolean;
  /** The named groups that took part; undefined where the line doesn't match. */
  groups(line: string): Record<string, string> | undefined;
}

/** Throws an error that says what to change, where the pattern needs backtracking. */
export function linePattern(pattern: string): LinePattern {
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
  } catch (error) {
    throw new Error(
      `pattern ${JSON.stringify(pattern.slice(0, 80))} can't be matched in linear time (${(error as Error).message}); look-around and back-references are not supported`,
      { cause: error },
    );
  }
  const names = Object.keys(compiled.namedGroups());
  return {
    test: (line) => compiled.test(line),
    groups: (line) => {
      if (!compiled.test(line)) return undefined;
      const matcher = compiled.matcher(line);
      if (!matcher.find()) return undefined;
      const groups: Record<string, string> = {};
      for (const name of names) {
        const value = matcher.group(name);
        if (value !== null && value !== undefined) groups[name] = value;
      }
      return groups;
    },
  };
}
