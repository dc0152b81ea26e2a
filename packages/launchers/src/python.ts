import type { LaunchFile } from "./types.ts";

/*
 * Which interpreter: the one that can import the framework, which need not be the first on PATH. Only a look-up:
 * importing torch takes a second, finding it a few hundredths.
 */
const FIND_PYTHON = String.raw`#!/bin/sh
# find-python MODULE WORDS...: runs the first interpreter that has MODULE, with WORDS.
module=$1
shift
for python in "$MUSTER_PYTHON" python3 python /usr/bin/python3 /usr/local/bin/python3; do
  [ -n "$python" ] || continue
  "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)' "$module" >/dev/null 2>&1 || continue
  exec "$python" "$@"
done
echo "muster: no interpreter here has the module $module (tried \$MUSTER_PYTHON, python3, python, /usr/bin/python3, /usr/local/bin/python3); install $module, or set MUSTER_PYTHON in the job's env" >&2
exit 127
`;

export const findPythonFile: LaunchFile = { path: "find-python", content: FIND_PYTHON };

/** The words that run the interpreter that has a module. */
export function findPython(module: string): string[] {
  return ["/bin/sh", "${MUSTER_DIR}/find-python", module];
}

export type Program = { kind: "python" | "command"; words: string[] };

/**
 * Whether the program is Python's: a `.py` file, `-m module`, or either after a bare `python`, which stands for the
 * interpreter that has the framework. All else is a command of its own.
 */
export function program(run: readonly string[]): Program {
  const first = run[0] ?? "";
  if (first === "python" || first === "python3") return { kind: "python", words: run.slice(1) };
  return { kind: first === "-m" || first.endsWith(".py") ? "python" : "command", words: [...run] };
}
