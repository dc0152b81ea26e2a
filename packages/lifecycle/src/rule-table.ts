import type { FaultRule } from "@muster/model";
import { ranksOf, RULES, signalOf, type Ending, type Rule } from "./classify.ts";

/** What a rule of the cluster is taken for where it doesn't say, and how it ranks: above all that the built-in ones guess. */
const DEFAULT_WEIGHT = 98;

/** The rules that hold: the cluster's own first, then the built-in ones as the cluster changed them. */
export function ruleTable(cluster: readonly FaultRule[]): Rule[] {
  const live = cluster.filter((rule) => !rule.shadow);
  return [...live.filter((rule) => rule.match && !rule.off).map(toRule), ...builtIn(live)];
}

/** What rules in shadow would have matched, each with its evidence. */
export function shadowMatches(
  endings: readonly Ending[],
  cluster: readonly FaultRule[],
): { rule: string; class: string; action: string; worker: string; node: string; evidence: string }[] {
  const shadows = cluster.filter((rule) => rule.shadow && !rule.off);
  const rules = [...shadows.filter((rule) => rule.match).map(toRule), ...builtIn(shadows).filter((rule) => shadows.some((shadow) => shadow.id === rule.id))];
  return rules.flatMap((rule) => {
    for (const ending of endings.flatMap(ranksOf)) {
      const evidence = rule.match(ending);
      if (evidence !== undefined)
        return [{ rule: rule.id, class: rule.class, action: rule.action, worker: ending.worker, node: ending.node, evidence: evidence.trim().slice(0, 500) }];
    }
    return [];
  });
}

function builtIn(cluster: readonly FaultRule[]): Rule[] {
  const changes = new Map(cluster.map((rule) => [rule.id, rule]));
  return RULES.flatMap((rule) => {
    const change = changes.get(rule.id);
    if (!change) return [rule];
    // one with a match of its own stands in for it
    if (change.off || change.match) return [];
    return [
      {
        ...rule,
        class: change.class ?? rule.class,
        action: change.action ?? rule.action,
        message: change.message ?? rule.message,
        weight: change.weight ?? rule.weight,
      },
    ];
  });
}

function toRule(rule: FaultRule): Rule {
  const { log, exit_code: codes, signal: signals } = rule.match ?? {};
  const pattern = log === undefined ? undefined : new RegExp(log);
  const action = rule.action ?? "retry";
  return {
    id: rule.id,
    weight: rule.weight ?? DEFAULT_WEIGHT,
    class: rule.class ?? (action === "exclude_node" ? "infrastructure" : "user"),
    action,
    message: rule.message ?? `rule ${rule.id} of the cluster matched`,
    match: (ending) => {
      const seen: string[] = [];
      if (codes) {
        if (ending.exitCode === null || !codes.includes(ending.exitCode)) return undefined;
        seen.push(`exit code ${ending.exitCode}`);
      }
      if (signals) {
        if (!signals.includes(signalOf(ending))) return undefined;
        seen.push(signalOf(ending));
      }
      if (pattern) {
        const line = ending.tail.split("\n").findLast((text) => pattern.test(text));
        if (line === undefined) return undefined;
        seen.push(line);
      }
      return seen.join("; ");
    },
  };
}
