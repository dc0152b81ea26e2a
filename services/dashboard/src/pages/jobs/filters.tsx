import { WAIT_REASONS } from "@muster/model";
import type { WaitReason } from "@muster/model";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { projectsQuery, queuesQuery } from "../../api/queries.ts";
import { withFilter } from "../../lib/url-state.ts";
import type { JobSearch } from "../../lib/url-state.ts";
import { WAIT_WORDS } from "../../lib/words.ts";
import { Icon } from "../../ui/icons.tsx";

interface Props {
  search: JobSearch;
  onChange: (next: JobSearch) => void;
}

/** Filters that have no place among the counts; the server applies them to all jobs, not to this page. */
export function JobFilters({ search, onChange }: Props): React.ReactNode {
  const queues = useQuery(queuesQuery);
  const projects = useQuery(projectsQuery);
  const extra = (["label", "array", "node", "submitter"] as const).flatMap((key) => (search[key] === undefined ? [] : [[key, search[key]] as const]));
  return (
    <search className="filters">
      <NameFilter search={search} onChange={onChange} />
      <Choice
        label="Queue"
        value={search.queue}
        options={(queues.data ?? []).map((queue) => [queue.name, queue.name])}
        onPick={(queue) => onChange(withFilter(search, { queue }))}
      />
      <Choice
        label="Project"
        value={search.project}
        options={(projects.data ?? []).map((project) => [project.name, project.name])}
        onPick={(project) => onChange(withFilter(search, { project }))}
      />
      <Choice
        label="Reason"
        value={search.reason}
        options={WAIT_REASONS.map((reason) => [reason, WAIT_WORDS[reason].label])}
        onPick={(reason) => onChange(withFilter(search, { reason: reason as WaitReason | "" }))}
      />
      <LabelFilter search={search} onChange={onChange} />
      {extra.map(([key, value]) => (
        <button
          key={key}
          type="button"
          className="chip"
          aria-pressed="true"
          title={`Remove this filter`}
          onClick={() => onChange(withFilter(search, { [key]: "" }))}
        >
          {key} <b>{value}</b>
          <Icon name="close" size={10} />
        </button>
      ))}
    </search>
  );
}

function Choice({
  label,
  value,
  options,
  onPick,
}: {
  label: string;
  value: string | undefined;
  options: readonly (readonly [string, string])[];
  onPick: (value: string) => void;
}): React.ReactNode {
  // A link may name what this list does not hold (yet).
  const all = value === undefined || options.some(([key]) => key === value) ? options : [[value, value] as const, ...options];
  return (
    <select className="input" aria-label={label} value={value ?? ""} data-set={value !== undefined} onChange={(event) => onPick(event.target.value)}>
      <option value="">{label}: any</option>
      {all.map(([key, text]) => (
        <option key={key} value={key}>
          {text}
        </option>
      ))}
    </select>
  );
}

function NameFilter({ search, onChange }: Props): React.ReactNode {
  const [typed, setTyped] = useState(search.name ?? "");
  useEffect(() => setTyped(search.name ?? ""), [search.name]);
  useEffect(() => {
    if (typed.trim() === (search.name ?? "")) return undefined;
    const timer = setTimeout(() => onChange(withFilter(search, { name: typed.trim() })), 250);
    return () => clearTimeout(timer);
  }, [typed, search, onChange]);
  return (
    <input
      className="input"
      data-filter
      type="search"
      aria-label="Name begins with"
      placeholder="Name begins with…  (f)"
      spellCheck={false}
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
    />
  );
}

function LabelFilter({ search, onChange }: Props): React.ReactNode {
  const [typed, setTyped] = useState("");
  const valid = /^[^=,\s]+=[^=,]*$/.test(typed.trim());
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!valid) return;
        onChange(withFilter(search, { label: [search.label, typed.trim()].filter(Boolean).join(",") }));
        setTyped("");
      }}
    >
      <input
        className="input"
        style={{ width: 118 }}
        aria-label="Label, key=value"
        placeholder="label: key=value"
        title="Type key=value, then Enter"
        aria-invalid={typed !== "" && !valid}
        spellCheck={false}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
    </form>
  );
}
