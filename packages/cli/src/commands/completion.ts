import type { Command } from "commander";
import { UsageError } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { action, type Outcome } from "../session.ts";

export function addCompletion(program: Command, io: Io, outcome: Outcome): void {
  program
    .command("completion")
    .description("completion for a shell: source <(muster completion bash)")
    .argument("<shell>", "bash")
    .action(
      action(io, outcome, async (session, [shell]) => {
        if (shell !== "bash") throw new UsageError(`there is no completion for ${shell}`, { hint: "there is one for bash" });
        session.printer.write(bashCompletion(program));
        return Promise.resolve();
      }),
    );
}

/** A bash function that knows every command and option; made from the commands themselves, so that it can't fall behind. */
export function bashCompletion(program: Command): string {
  const cases: string[] = [];
  const visit = (command: Command, path: string): void => {
    const words = [
      ...command.commands.map((child) => child.name()),
      ...command.options.map((option) => option.long).filter((long) => long !== null && long !== undefined),
      "--help",
    ];
    cases.push(`    "${path}") words="${words.join(" ")}" ;;`);
    for (const child of command.commands) visit(child, path === "" ? child.name() : `${path} ${child.name()}`);
  };
  visit(program, "");
  return `# completion of the muster command for bash
_muster() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" word words=""
  case "$previous" in
    -f|--file|--token-file) COMPREPLY=($(compgen -f -- "$current")); return ;;
    -o|--output) COMPREPLY=($(compgen -W "table wide json yaml jsonl name" -- "$current")); return ;;
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      -*) ;;
      *) case "$path" in *" "*) ;; "") path="$word" ;; *) path="$path $word" ;; esac ;;
    esac
  done
  case "$path" in
${cases.join("\n")}
    *) case "\${path%% *}" in
${cases
  .filter((one) => !/^ {4}"[^"]* [^"]*"/.test(one))
  .map((one) => `    ${one}`)
  .join("\n")}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _muster muster
`;
}
