import { useQuery, useQueryClient } from "@tanstack/react-query";
import type { NodeView } from "@muster/model";
import { DropdownMenu } from "radix-ui";
import { useState } from "react";
import { commandNode } from "../../api/commands.ts";
import type { NodeAction } from "../../api/commands.ts";
import { meQuery } from "../../api/queries.ts";
import { atLeast } from "../../lib/actions.ts";
import { plural } from "../../lib/format.ts";
import { nodeActions } from "../../lib/nodes.ts";
import { Confirm } from "../../ui/confirm.tsx";
import { Icon } from "../../ui/icons.tsx";
import { useSay } from "../../ui/toast.tsx";

const WORDS: Readonly<Record<NodeAction, { label: string; effect: (jobs: number) => string }>> = {
  cordon: {
    label: "Cordon",
    effect: (jobs) => `It gets no new work. ${jobs > 0 ? `${plural(jobs, "job")} on it ${jobs === 1 ? "goes" : "go"} on.` : "Nothing runs on it."}`,
  },
  drain: {
    label: "Drain",
    effect: (jobs) =>
      `It gets no new work, and ${jobs > 0 ? `${plural(jobs, "job")} on it ${jobs === 1 ? "writes a checkpoint and moves" : "write a checkpoint and move"} elsewhere before the deadline.` : "is free to be taken out, since nothing runs on it."}`,
  },
  uncordon: { label: "Uncordon", effect: () => "It takes work again from now on." },
};
const DEADLINES = [
  [300, "5 minutes"],
  [900, "15 minutes"],
  [3600, "1 hour"],
  [14_400, "4 hours"],
  [86_400, "1 day"],
] as const;

/** Cordon, drain, uncordon; the first two need a reason, for whoever wonders at three in the morning. */
export function NodeActions({ node, compact = false }: { node: NodeView; compact?: boolean }): React.ReactNode {
  const { data: me } = useQuery(meQuery);
  const client = useQueryClient();
  const say = useSay();
  const [asking, setAsking] = useState<NodeAction>();
  const [deadline, setDeadline] = useState(3600);
  const may = me !== undefined && me.project === null && atLeast(me.role, "operator");
  const denied = may ? undefined : "Needs the role operator";
  const possible = nodeActions(node.health);
  const confirm = async (action: NodeAction, reason: string): Promise<void> => {
    await commandNode(node, action, reason, action === "drain" ? deadline : undefined);
    say("done", `${WORDS[action].label}: done`, node.name);
    await Promise.all([client.invalidateQueries({ queryKey: ["nodes"] }), client.invalidateQueries({ queryKey: ["node", node.name] })]);
  };
  return (
    <>
      {compact ? (
        <DropdownMenu.Root modal={false}>
          <DropdownMenu.Trigger className="button plain small square" aria-label={`Actions on ${node.name}`} disabled={!may} title={denied}>
            <Icon name="more" />
          </DropdownMenu.Trigger>
          <DropdownMenu.Portal>
            <DropdownMenu.Content className="menu" align="end" sideOffset={4}>
              {possible.map((action) => (
                <DropdownMenu.Item key={action} className="menu-item" onSelect={() => setAsking(action)}>
                  {WORDS[action].label}
                </DropdownMenu.Item>
              ))}
            </DropdownMenu.Content>
          </DropdownMenu.Portal>
        </DropdownMenu.Root>
      ) : (
        <div className="spread" role="group" aria-label="Actions">
          {possible.map((action) => (
            <button key={action} type="button" className="button" disabled={!may} title={denied} onClick={() => setAsking(action)}>
              {WORDS[action].label}
            </button>
          ))}
        </div>
      )}
      {asking ? (
        <Confirm
          title={`${WORDS[asking].label} ${node.name}`}
          effect={WORDS[asking].effect(node.jobs.length)}
          verb={WORDS[asking].label}
          destructive={asking === "drain"}
          reasonNeeded={asking !== "uncordon"}
          onConfirm={(reason) => confirm(asking, reason)}
          onClose={() => setAsking(undefined)}
        >
          {asking === "drain" ? (
            <label className="field">
              <span>Deadline: what still runs then is ended and queues again</span>
              <select className="input" value={deadline} onChange={(event) => setDeadline(Number(event.target.value))}>
                {DEADLINES.map(([seconds, text]) => (
                  <option key={seconds} value={seconds}>
                    {text}
                  </option>
                ))}
              </select>
            </label>
          ) : null}
        </Confirm>
      ) : null}
    </>
  );
}
