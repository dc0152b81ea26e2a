import type { WorkerStart } from "@muster/engine";
import type { Behaviour } from "@muster/engine/conformance";
import { literal } from "@muster/model";

type Program = Pick<WorkerStart, "argv" | "env" | "files">;

export function script(text: string): Program {
  return { argv: ["sh", "-c", literal(text)], env: {}, files: [] };
}

/** A program for each behaviour, of what any image has. */
export function realBehaviour(behaviour: Behaviour): Program {
  switch (behaviour.kind) {
    case "exit":
      return script(`${printing(behaviour.print)}exit ${behaviour.code}`);
    case "signal":
      return script(`kill -${behaviour.signal.slice(3)} $$`);
    case "run":
      return script(`${printing(behaviour.print)}exec sleep 600`);
    case "stubborn":
      return script(`trap '' TERM; echo ready; for i in $(seq 3000); do sleep 0.2; done`);
    default:
      return script(
        `d="$MUSTER_CHECKPOINT_DIR/step-${behaviour.step}"; mkdir "$d"; echo weights > "$d/model"; echo "saved ${behaviour.step} $d"; exec sleep 600`,
      );
  }
}

function printing(lines: readonly string[] = []): string {
  return lines.map((line) => `printf '%s\\n' '${line}'; `).join("");
}
