import { useQuery } from "@tanstack/react-query";
import { DropdownMenu } from "radix-ui";
import { meQuery } from "../api/queries.ts";
import { signOut } from "../api/session.ts";
import { Icon } from "../ui/icons.tsx";
import { setTheme, setZone, useTheme, useZone } from "./preferences.ts";
import type { Theme, Zone } from "./preferences.ts";

const THEMES: readonly (readonly [Theme, string])[] = [
  ["system", "As the system"],
  ["dark", "Dark"],
  ["light", "Light"],
];
const ZONES: readonly (readonly [Zone, string])[] = [
  ["utc", "UTC"],
  ["local", "This browser's zone"],
];

export function Account(): React.ReactNode {
  const { data: me } = useQuery(meQuery);
  const theme = useTheme();
  const zone = useZone();
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger className="button plain square" aria-label="Appearance and account" title="Appearance and account">
        <Icon name="user" />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="menu" align="end" sideOffset={6}>
          {me ? (
            <DropdownMenu.Label className="menu-item" style={{ cursor: "default" }}>
              <strong>{me.subject}</strong>
              <span className="tag">{me.role}</span>
            </DropdownMenu.Label>
          ) : null}
          <Choice label="Theme" value={theme} choices={THEMES} onChoose={setTheme} />
          <Choice label="Times in" value={zone} choices={ZONES} onChoose={setZone} />
          <div className="menu-line" />
          <DropdownMenu.Item className="menu-item" onSelect={signOut}>
            Sign out
            <Icon name="out" />
          </DropdownMenu.Item>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

function Choice<Value extends string>({
  label,
  value,
  choices,
  onChoose,
}: {
  label: string;
  value: Value;
  choices: readonly (readonly [Value, string])[];
  onChoose: (value: Value) => void;
}): React.ReactNode {
  return (
    <DropdownMenu.RadioGroup value={value} onValueChange={(next) => onChoose(next as Value)}>
      <div className="menu-line" />
      <DropdownMenu.Label className="menu-item faint" style={{ cursor: "default", paddingBlock: 2, fontSize: 11 }}>
        {label}
      </DropdownMenu.Label>
      {choices.map(([key, text]) => (
        <DropdownMenu.RadioItem key={key} value={key} className="menu-item" onSelect={(event) => event.preventDefault()}>
          {text}
          <DropdownMenu.ItemIndicator>✓</DropdownMenu.ItemIndicator>
        </DropdownMenu.RadioItem>
      ))}
    </DropdownMenu.RadioGroup>
  );
}
