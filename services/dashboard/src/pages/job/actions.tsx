import { useQuery, useQueryClient } from "@tanstack/react-query";
import { DEFAULT_PRIORITIES } from "@muster/model";
import type { JobView } from "@muster/model";
import { DropdownMenu } from "radix-ui";
import { useState } from "react";
import { commandJob } from "../../api/commands.ts";
import { meQuery } from "../../api/queries.ts";
import { actionsOf, atLeast, JOB_ACTIONS, roleIn } from "../../lib/actions.ts";
import type { JobAction } from "../../lib/actions.ts";
import { Confirm } from "../../ui/confirm.tsx";
import { Icon } from "../../ui/icons.tsx";
import { useSay } from "../../ui/toast.tsx";

/** The likeliest actions as buttons, the others in a menu; each asks before it acts. */
export function JobActions({ job }: { job: JobView }): React.ReactNode {
  const { data: me } = useQuery(meQuery);
  const client = useQueryClient();
  const say = useSay();
  const [asking, setAsking] = useState<JobAction>();
  const [priority, setPriority] = useState(job.priority);
  const may = atLeast(roleIn(me, job.project), "submitter");
  const possible = actionsOf(job);
  const shown = possible.filter((action) => action !== "priority" && action !== "cancel").slice(0, 2);
  const rest = possible.filter((action) => action !== "cancel" && !shown.some((item) => item === action));
  const denied = may ? undefined : `Needs the role submitter in ${job.project}`;

  const ask = (action: JobAction): void => {
    setPriority(job.priority);
    setAsking(action);
  };
  const confirm = async (action: JobAction, reason: string): Promise<void> => {
    await commandJob(job, { action, reason, ...(action === "priority" ? { priority } : {}) });
    say("done", `${JOB_ACTIONS[action].label}: asked`, job.name);
    await client.invalidateQueries({ queryKey: ["job", job.id] });
  };

  if (possible.length === 0) return null;
  return (
    <div className="spread wrap" role="group" aria-label="Actions">
      {shown.map((action) => (
        <button key={action} type="button" className="button" disabled={!may} title={denied ?? JOB_ACTIONS[action].effect} onClick={() => ask(action)}>
          {JOB_ACTIONS[action].label}
        </button>
      ))}
      {rest.length > 0 ? (
        <DropdownMenu.Root modal={false}>
          <DropdownMenu.Trigger className="button square" aria-label="More actions" disabled={!may} title={denied}>
            <Icon name="more" />
          </DropdownMenu.Trigger>
          <DropdownMenu.Portal>
            <DropdownMenu.Content className="menu" align="end" sideOffset={6}>
              {rest.map((action) => (
                <DropdownMenu.Item key={action} className="menu-item" onSelect={() => ask(action)}>
                  {JOB_ACTIONS[action].label}
                </DropdownMenu.Item>
              ))}
            </DropdownMenu.Content>
          </DropdownMenu.Portal>
        </DropdownMenu.Root>
      ) : null}
      {possible.includes("cancel") ? (
        <button type="button" className="button danger" disabled={!may} title={denied} onClick={() => ask("cancel")}>
          Cancel job
        </button>
      ) : null}
      {asking ? (
        <Confirm
          title={`${JOB_ACTIONS[asking].label}: ${job.name}`}
          effect={JOB_ACTIONS[asking].effect}
          verb={JOB_ACTIONS[asking].label}
          destructive={JOB_ACTIONS[asking].destructive}
          onConfirm={(reason) => confirm(asking, reason)}
          onClose={() => setAsking(undefined)}
        >
          {asking === "priority" ? (
            <label className="field">
              <span>Priority</span>
              <input className="input" list="priorities" value={priority} onChange={(event) => setPriority(event.target.value)} />
              <datalist id="priorities">
                {Object.keys(DEFAULT_PRIORITIES).map((name) => (
                  <option key={name} value={name} />
                ))}
              </datalist>
            </label>
          ) : null}
        </Confirm>
      ) : null}
    </div>
  );
}
