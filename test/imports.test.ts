import { readFileSync, readdirSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

/*
 * The shape of the project, kept by a test: who may import whom, that what is imported is declared, and that the pure
 * packages touch nothing outside themselves.
 */

const root = fileURLToPath(new URL("..", import.meta.url));

interface Manifest {
  name: string;
  workspaces?: string[];
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

interface Workspace {
  name: string;
  dir: string;
  manifest: Manifest;
  files: SourceFile[];
}

interface SourceFile {
  path: string;
  isTest: boolean;
  text: string;
  imports: string[];
}

const PURE = ["model", "placement", "lifecycle", "launchers", "output"];
const ENGINES = ["engine", "engine-local", "engine-simulated", "engine-kubernetes"];
const KEPT = [...ENGINES, "store", "logs"];
const SERVICES = ["api", "scheduler", "supervisor", "agent", "dashboard", "standalone"];

/** Whom each workspace may import, by the names after `@muster/`. One that is not here fails the test: say where it belongs. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  model: [],
  placement: ["model"],
  lifecycle: ["model"],
  launchers: ["model"],
  output: [],
  ...Object.fromEntries(ENGINES.map((engine) => [engine, [...PURE, "engine"]])),
  store: PURE,
  logs: PURE,
  replay: ["placement", "lifecycle", "model"],
  client: ["model"],
  // replay for `muster scheduler replay`, which reads a file and asks no server
  cli: ["client", "model", "replay"],
  // in a browser: types and rules, which are pure
  dashboard: PURE,
  // outside the control plane's life: it knows what engines ask of it, and nothing of the store
  agent: [...PURE, ...ENGINES],
  api: [...PURE, ...KEPT],
  scheduler: [...PURE, ...KEPT],
  // starts a dead agent again
  supervisor: [...PURE, ...KEPT, "agent"],
  // everything in one process, so it starts the others
  standalone: [...PURE, ...KEPT, "client", ...SERVICES],
};

/** Tests, and what only they use. */
const FOR_TESTS = /\.test\.tsx?$|\/testing\/|-for-test\.ts$|\/test-[\w-]+\.ts$|\/conformance\.ts$|\/src\/bench\.ts$|\/vite\.config\.ts$/;

/** What a pure package may take from Node: computing on text and bytes, no more. */
const PURE_BUILTINS = new Set(["node:path", "node:assert", "node:util"]);
const PURE_LIBRARIES = new Set(["zod", "re2js"]);
const IMPURE = [
  { what: "reads a clock", pattern: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(|\bprocess\.hrtime/ },
  { what: "makes up randomness", pattern: /\bMath\.random\(|\bcrypto\.(?:randomUUID|getRandomValues)\(/ },
  { what: "does I/O or waits", pattern: /\bfetch\(|\bset(?:Timeout|Interval|Immediate)\(|\bprocess\.(?:env|stdout|stderr|argv)\b|\bconsole\./ },
];

const manifest = readManifest(root);
const workspaces = (manifest.workspaces ?? []).flatMap((pattern) => directoriesOf(pattern)).map(readWorkspace);
const byName = new Map(workspaces.map((workspace) => [workspace.manifest.name, workspace]));

test("there is something to check", () => {
  expect(workspaces.map((workspace) => workspace.name)).toEqual(expect.arrayContaining([...PURE, "store", "client", "cli", "api"]));
  expect(workspaces.flatMap((workspace) => workspace.files).length).toBeGreaterThan(50);
});

describe.each(workspaces)("$name", (workspace) => {
  test("imports only in the direction of the architecture", () => {
    const allowed = MAY_IMPORT[workspace.name];
    expect(allowed, `${workspace.name} has no place in MAY_IMPORT`).toBeDefined();
    const wrong = (name: string): boolean =>
      name.startsWith("@muster/") && name !== workspace.manifest.name && !allowed?.includes(name.slice("@muster/".length));
    expect(Object.keys(workspace.manifest.dependencies ?? {}).filter(wrong)).toEqual([]);
    expect(
      workspace.files.flatMap((file) =>
        file.imports
          .map(packageOf)
          .filter(wrong)
          .map((name) => `${file.path} imports ${name}`),
      ),
    ).toEqual([]);
  });

  test("reaches other workspaces by their names, never by their paths", () => {
    const outside = (file: SourceFile, target: string): boolean =>
      target.startsWith(".") && relative(workspace.dir, resolve(root, dirname(file.path), target)).startsWith("..");
    expect(workspace.files.flatMap((file) => file.imports.filter((target) => outside(file, target)).map((target) => `${file.path} imports ${target}`))).toEqual(
      [],
    );
  });

  test("ships nothing that is made for tests", () => {
    const forTests = (file: SourceFile, target: string): boolean =>
      target.startsWith(".") && FOR_TESTS.test(`/${relative(root, resolve(root, dirname(file.path), target))}`);
    expect(
      workspace.files
        .filter((file) => !file.isTest)
        .flatMap((file) => file.imports.filter((target) => forTests(file, target)).map((target) => `${file.path} imports ${target}`)),
    ).toEqual([]);
  });

  test("depends on nothing that it doesn't import", () => {
    const imported = new Set(workspace.files.flatMap((file) => file.imports.map(packageOf)));
    expect(Object.keys(workspace.manifest.dependencies ?? {}).filter((name) => !imported.has(name))).toEqual([]);
  });

  test("declares what it imports", () => {
    const { dependencies, optionalDependencies, devDependencies } = workspace.manifest;
    const own = new Set([workspace.manifest.name, ...Object.keys({ ...dependencies, ...optionalDependencies })]);
    const forTests = new Set([...own, ...Object.keys({ ...devDependencies, ...manifest.devDependencies })]);
    const undeclared = (file: SourceFile, target: string): boolean =>
      !target.startsWith(".") && !isBuiltin(target) && !(file.isTest ? forTests : own).has(packageOf(target));
    expect(
      workspace.files.flatMap((file) => file.imports.filter((target) => undeclared(file, target)).map((target) => `${file.path} imports ${target}`)),
    ).toEqual([]);
  });
});

describe.each(workspaces.filter((workspace) => PURE.includes(workspace.name)))("$name is pure", ({ files, manifest: { dependencies } }) => {
  const shipped = files.filter((file) => !file.isTest);

  test("it imports nothing that does I/O", () => {
    expect(
      shipped.flatMap((file) =>
        file.imports.filter((target) => isBuiltin(target) && !PURE_BUILTINS.has(target)).map((target) => `${file.path} imports ${target}`),
      ),
    ).toEqual([]);
    expect(Object.keys(dependencies ?? {}).filter((name) => !byName.has(name) && !PURE_LIBRARIES.has(name))).toEqual([]);
  });

  test.each(IMPURE)("nothing in it $what", ({ pattern }) => {
    expect(
      shipped.flatMap((file) =>
        code(file.text)
          .filter((line) => pattern.test(line))
          .map((line) => `${file.path}: ${line.trim()}`),
      ),
    ).toEqual([]);
  });
});

function readManifest(dir: string): Manifest {
  return JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) as Manifest;
}

/** @param pattern such as `packages/*`; folders without a package.json are none of ours */
function directoriesOf(pattern: string): string[] {
  const parent = join(root, pattern.replace(/\/\*$/, ""));
  return readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && readdirSync(join(parent, entry.name)).includes("package.json"))
    .map((entry) => join(parent, entry.name));
}

function readWorkspace(dir: string): Workspace {
  const own = readManifest(dir);
  return { name: own.name.replace("@muster/", ""), dir, manifest: own, files: sourcesBelow(dir).map(readSource) };
}

function sourcesBelow(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    if (["node_modules", "dist"].includes(entry.name)) return [];
    const path = join(dir, entry.name);
    return entry.isDirectory() ? sourcesBelow(path) : /\.tsx?$/.test(entry.name) ? [path] : [];
  });
}

function readSource(path: string): SourceFile {
  const text = readFileSync(path, "utf8");
  const lines = code(text).join("\n");
  const imports = [
    ...lines.matchAll(/^\s*(?:import|export)\b[^"'`;]*?\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/gm),
  ].map((match) => (match[1] ?? match[2] ?? match[3]) as string);
  const place = relative(root, path);
  return { path: place, isTest: FOR_TESTS.test(place), text, imports };
}

/** Lines without comments. */
function code(text: string): string[] {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "))
    .split("\n")
    .map((line) => line.replace(/(^|\s)\/\/.*$/, "$1"));
}

function packageOf(target: string): string {
  const parts = target.split("/");
  return target.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? target);
}
