import * as fc from "fast-check";

/** A JSON schema, as far as the document uses it. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
}

/** Text that has broken programs before. */
const TEXTS = [
  "",
  " ",
  "\0",
  "a\0b",
  "\uD800",
  "x".repeat(5000),
  "../../etc/passwd",
  "'; DROP TABLE jobs; --",
  "${jndi:ldap://x}",
  "%00",
  "%",
  "__proto__",
  "constructor",
  "NaN",
  "1e999",
  "-1",
  "null",
  "[object Object]",
  "\u202E",
  "日本語",
  "🧨",
  "2026-13-99T99:99:99Z",
  "0001-01-01T00:00:00Z",
  "9999-12-31T23:59:59.999Z",
  "5m",
  "64Gi",
  "1-1",
  "99999999999999999999-1",
];
const NUMBERS = [0, -0, 1, -1, 2, 0.5, 1e-9, 255, 256, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 53 - 1, 2 ** 53, 1e21, 1e308, -(2 ** 63)];

export interface Hints {
  resolve: (ref: string) => Schema;
  /** Names that exist, so that requests come through to what lies behind the checks of form. */
  words: readonly string[];
}

/** Anything at all that JSON can say. */
export const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(...TEXTS),
  fc.constantFrom<unknown>(...NUMBERS),
  fc.constantFrom<unknown>(null, true, false, [], {}, [[]], [null], { __proto__: null }),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Values that fit a schema, or nearly do: a field is missing, too much, of another type, or at its limit. */
export function nearly(schema: Schema, hints: Hints, depth = 0): fc.Arbitrary<unknown> {
  const fitting = fits(schema, hints, depth);
  return fc.oneof({ weight: 9, arbitrary: fitting }, { weight: 1, arbitrary: junk });
}

function fits(schema: Schema, hints: Hints, depth: number): fc.Arbitrary<unknown> {
  if (schema.$ref) return fits(hints.resolve(schema.$ref), hints, depth);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (choices && choices.length > 0) return fc.oneof(...choices.map((choice) => fits(choice, hints, depth)));
  const types = Array.isArray(schema.type) ? schema.type : [schema.type ?? (schema.properties ? "object" : "any")];
  return fc.oneof(...types.map((type) => ofType(type, schema, hints, depth)));
}

function ofType(type: string, schema: Schema, hints: Hints, depth: number): fc.Arbitrary<unknown> {
  switch (type) {
    case "string":
      return fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom(...hints.words) },
        { weight: 2, arbitrary: fc.constantFrom(...TEXTS) },
        { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
      );
    case "integer":
    case "number": {
      const [low, high] = [schema.minimum ?? 0, schema.maximum ?? 16];
      // at their limits, numbers of things would only take long to make
      const inside = [low, low + 1, Math.min(high, low + 7)];
      return fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...inside) }, { weight: 1, arbitrary: fc.constantFrom(...NUMBERS) });
    }
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "array":
      return depth > 6 ? fc.constant([]) : fc.array(nearly(schema.items ?? {}, hints, depth + 1), { maxLength: 3 });
    case "object":
      return depth > 6 ? fc.constant({}) : object(schema, hints, depth);
    default:
      return junk;
  }
}

/** @param percent how often it is there */
export function maybe<T>(value: fc.Arbitrary<T>, percent: number): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: percent, arbitrary: value }, { weight: 100 - percent, arbitrary: fc.constant(undefined) });
}

function object(schema: Schema, hints: Hints, depth: number): fc.Arbitrary<unknown> {
  const required = new Set(schema.required ?? []);
  const known = Object.entries(schema.properties ?? {}).map(([name, property]): [string, fc.Arbitrary<unknown>] => {
    const value = nearly(property, hints, depth + 1);
    // most optional fields are left out, else hardly anything would ever be right as a whole
    return [name, maybe(value, required.has(name) ? 97 : depth === 0 ? 15 : 40)];
  });
  const open =
    schema.additionalProperties !== undefined && schema.additionalProperties !== false && schema.additionalProperties !== true
      ? schema.additionalProperties
      : undefined;
  const extra = open
    ? fc.dictionary(fc.constantFrom(...hints.words, ...TEXTS.slice(0, 8)), nearly(open, hints, depth + 1), { maxKeys: 3 })
    : maybe(fc.dictionary(fc.constantFrom("extra", "__proto__", "nodse"), junk, { maxKeys: 1 }), 8);
  return fc
    .tuple(fc.record(Object.fromEntries(known)), extra)
    .map(([fields, more]) => ({ ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)), ...more }));
}
