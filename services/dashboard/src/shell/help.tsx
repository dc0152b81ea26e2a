import { Dialog } from "radix-ui";
import { Fragment } from "react";
import { PAGES } from "./pages.ts";

const KEYS: readonly (readonly [readonly string[], string])[] = [
  [["/"], "Search jobs, nodes and pages (also Ctrl K)"],
  ...PAGES.map((page) => [["g", page.key], page.label] as const),
  [["j"], "Next row"],
  [["k"], "Row before"],
  [["Enter"], "Open the row"],
  [["f"], "Go to the page's filter"],
  [["Esc"], "Close, or back to the list"],
  [["?"], "This help"],
];

export function Help({ onClose }: { onClose: () => void }): React.ReactNode {
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="shade" />
        <Dialog.Content className="dialog" aria-describedby={undefined}>
          <Dialog.Title>Keyboard</Dialog.Title>
          <dl className="keys">
            {KEYS.map(([keys, meaning]) => (
              <Fragment key={meaning}>
                <dt>
                  {keys.map((key) => (
                    <kbd key={key} className="kbd">
                      {key}
                    </kbd>
                  ))}
                </dt>
                <dd>{meaning}</dd>
              </Fragment>
            ))}
          </dl>
          <p className="muted" style={{ marginTop: 14 }}>
            No key changes anything in the cluster: actions are buttons, and ask first.
          </p>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
