import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** What each benchmark exports: prints its table on standard error and gives its figures. */
interface Bench {
  run(): Promise<{ figures: Record<string, number>; peers: Record<string, unknown> }>;
}

const known = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts") && file !== "main.ts")
  .map((file) => file.slice(0, -3));
const [name, ...rest] = process.argv.slice(2);
if (name === undefined || rest.length > 0 || !known.includes(name) || !existsSync(join(import.meta.dirname, `${name}.ts`))) {
  process.stderr.write(`usage: npm run bench -- NAME, where NAME is one of ${known.join(", ")}\n`);
  process.exit(2);
}
const bench = (await import(`./${name}.ts`)) as Bench;
const { figures, peers } = await bench.run();
process.stdout.write(`${JSON.stringify({ bench: name, figures, peers })}\n`);
