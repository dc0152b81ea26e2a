import { Dialog } from "radix-ui";
import { useState } from "react";

export interface ConfirmProps {
  title: string;
  effect: string;
  /** What the button says: the act itself, never "OK". */
  verb: string;
  destructive: boolean;
  /** Whether a reason must be given; it is always asked for. */
  reasonNeeded?: boolean;
  children?: React.ReactNode;
  onConfirm: (reason: string) => Promise<void>;
  onClose: () => void;
}

/** Says what will happen and asks for a reason, before it happens. The reason goes into the event. */
export function Confirm({ title, effect, verb, destructive, reasonNeeded = false, children, onConfirm, onClose }: ConfirmProps): React.ReactNode {
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const missing = reasonNeeded && reason.trim() === "";
  const submit = async (): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      await onConfirm(reason.trim());
      onClose();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="shade" />
        <Dialog.Content className="dialog">
          <Dialog.Title>{title}</Dialog.Title>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              if (!missing) void submit();
            }}
          >
            <Dialog.Description className="muted">{effect}</Dialog.Description>
            {children}
            <label className="field">
              <span>{reasonNeeded ? "Reason" : "Reason (optional)"}, kept with the event</span>
              {/* oxlint-disable-next-line jsx-a11y/no-autofocus -- a dialog's first field takes the focus, as its pattern asks */}
              <textarea className="input" rows={2} maxLength={1024} value={reason} onChange={(event) => setReason(event.target.value)} autoFocus />
            </label>
            {problem ? (
              <p role="alert" data-tone="bad" className="toned">
                {problem}
              </p>
            ) : null}
            <div className="ends">
              <button type="button" className="button" onClick={onClose}>
                Keep as it is
              </button>
              <button type="submit" className={destructive ? "button primary danger" : "button primary"} disabled={busy || missing}>
                {busy ? "Asking…" : verb}
              </button>
            </div>
          </form>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
