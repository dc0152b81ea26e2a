import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { chromium, type Browser } from "playwright-core";

const PLACES = [process.env["CHROMIUM_PATH"], "/usr/bin/chromium", "/usr/bin/google-chrome"];
/** Chromium phones nobody: tests need no network. */
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Opens a real Chromium. @throws Error that says how to get one */
export async function openBrowser(): Promise<Browser> {
  const executablePath = PLACES.find((path) => path !== undefined && existsSync(path));
  if (executablePath === undefined) throw new Error("The browser tests need Chromium: apt-get install -y chromium, or set CHROMIUM_PATH to one");
  return chromium.launch({ executablePath, args: QUIET });
}

/** Builds the dashboard as `npm run build` does, so that what is tested is what the sources say. */
export async function buildDashboard(): Promise<void> {
  const folder = fileURLToPath(new URL("../../services/dashboard", import.meta.url));
  const vite = dirname(createRequire(join(folder, "package.json")).resolve("vite/package.json"));
  await promisify(execFile)(process.execPath, [join(vite, "bin/vite.js"), "build", "--logLevel", "error"], { cwd: folder });
}
