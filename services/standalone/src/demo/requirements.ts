import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Something that npm can't bring: how to see that it is there, and the Debian packages that bring it. */
export interface Requirement {
  what: string;
  packages: readonly string[];
  present(): Promise<boolean>;
}

/** Whether a program ends well with these words. */
async function works(file: string, words: readonly string[]): Promise<boolean> {
  try {
    await run(file, words, { timeout: 60_000 });
    return true;
  } catch {
    return false;
  }
}

const PYTHONS = ["python3", "/usr/bin/python3"];
const FIND_TORCH = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)";

export const PYTORCH: Requirement = {
  what: "PyTorch",
  packages: ["python3-torch", "libopenblas0-pthread"],
  present: async () => {
    for (const python of PYTHONS) if (await works(python, ["-c", FIND_TORCH])) return true;
    return false;
  },
};

export const OPENMPI: Requirement = {
  what: "Open MPI with mpi4py",
  packages: ["openmpi-bin", "python3-mpi4py"],
  present: () => works("mpirun", ["--version"]),
};

export const GIT: Requirement = { what: "git", packages: ["git"], present: () => works("git", ["--version"]) };

export const CHROMIUM: Requirement = {
  what: "Chromium",
  packages: ["chromium"],
  present: async () => [process.env["CHROMIUM_PATH"], "/usr/bin/chromium", "/usr/bin/google-chrome"].some((path) => path !== undefined && existsSync(path)),
};

/**
 * Makes sure that these are there: installs what is missing by apt-get where this is root on Debian, else names it with the
 * command that does. @throws Error with that one line
 */
export async function ensureRequirements(requirements: readonly Requirement[], say: (line: string) => void): Promise<void> {
  const missing: Requirement[] = [];
  for (const requirement of requirements) if (!(await requirement.present())) missing.push(requirement);
  if (missing.length === 0) return;
  const packages = missing.flatMap((requirement) => requirement.packages);
  const names = missing.map((requirement) => requirement.what).join(", ");
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) {
    throw new Error(`${names} ${missing.length > 1 ? "are" : "is"} missing; on Debian: sudo apt-get install --no-install-recommends ${packages.join(" ")}`);
  }
  say(`Installing ${names} (${packages.join(" ")}) by apt-get; this takes a minute or two, once.`);
  await aptGet(["update", "-qq"]);
  await aptGet(["install", "-y", "-qq", "--no-install-recommends", ...packages]);
  for (const requirement of missing)
    if (!(await requirement.present())) throw new Error(`${requirement.what} still can't be found after installing ${requirement.packages.join(" ")}`);
}

function aptGet(words: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("apt-get", words, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
    let complaints = "";
    child.stderr.on("data", (text: Buffer) => (complaints = (complaints + text.toString()).slice(-2000)));
    child.on("error", reject);
    child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`apt-get ${words[0]} ended with code ${code}: ${complaints.trim()}`))));
  });
}
