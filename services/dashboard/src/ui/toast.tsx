import { Toast } from "radix-ui";
import { createContext, use, useCallback, useMemo, useState } from "react";
import type { Tone } from "../lib/words.ts";
import { Icon } from "./icons.tsx";
import { ShapeMark } from "./shape.tsx";

interface Message {
  id: number;
  tone: Tone;
  title: string;
  detail?: string | undefined;
}
export type Say = (tone: "done" | "bad", title: string, detail?: string) => void;

const SayContext = createContext<Say>(() => undefined);
export const useSay = (): Say => use(SayContext);

export function ToastProvider({ children }: { children: React.ReactNode }): React.ReactNode {
  const [messages, setMessages] = useState<Message[]>([]);
  const say = useCallback<Say>(
    (tone, title, detail) => setMessages((list) => [...list.slice(-3), { id: (list.at(-1)?.id ?? 0) + 1, tone, title, detail }]),
    [],
  );
  const shown = useMemo(
    () =>
      messages.map((message) => (
        <Toast.Root
          key={message.id}
          className="toast"
          data-tone={message.tone}
          duration={message.tone === "bad" ? 12_000 : 5000}
          onOpenChange={(open) => !open && setMessages((list) => list.filter((item) => item.id !== message.id))}
        >
          <ShapeMark shape={message.tone === "bad" ? "cross" : "check"} />
          <Toast.Title asChild>
            <strong>{message.title}</strong>
          </Toast.Title>
          <Toast.Close className="button plain small square" aria-label="Dismiss">
            <Icon name="close" size={12} />
          </Toast.Close>
          {message.detail ? (
            <Toast.Description asChild>
              <p>{message.detail}</p>
            </Toast.Description>
          ) : null}
        </Toast.Root>
      )),
    [messages],
  );
  return (
    <SayContext value={say}>
      <Toast.Provider swipeDirection="right" label="Messages">
        {children}
        {shown}
        <Toast.Viewport className="toasts" />
      </Toast.Provider>
    </SayContext>
  );
}
