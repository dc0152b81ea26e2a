import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Dialog } from "radix-ui";
import { useDeferredValue, useId, useMemo, useState } from "react";
import type { JobView } from "@muster/model";
import { ApiError, getJson } from "../api/client.ts";
import { nodesQuery } from "../api/queries.ts";
import type { Page } from "../api/queries.ts";
import { NODE_LOOK } from "../lib/words.ts";
import { JobState, State } from "../ui/state.tsx";
import { PAGES } from "./pages.ts";

interface Found {
  key: string;
  section: string;
  text: React.ReactNode;
  hint: string;
  open: () => void;
}

/** Jobs by the beginning of their name, or one by its whole id. */
async function findJobs(text: string, signal: AbortSignal): Promise<JobView[]> {
  if (/^job_\w{8,}$/.test(text)) {
    try {
      return [await getJson<JobView>(`/v1/jobs/${encodeURIComponent(text)}`, signal)];
    } catch (error) {
      if (error instanceof ApiError && (error.status === 404 || error.status === 422 || error.status === 400)) return [];
      throw error;
    }
  }
  const query = new URLSearchParams({ limit: "8", ...(text === "" ? { active: "true" } : { name: text }) });
  return (await getJson<Page<JobView>>(`/v1/jobs?${query}`, signal)).items;
}

export function Palette({ onClose }: { onClose: () => void }): React.ReactNode {
  const navigate = useNavigate();
  const list = useId();
  const [typed, setTyped] = useState("");
  const [picked, setPicked] = useState(0);
  const text = useDeferredValue(typed.trim());
  const jobs = useQuery({ queryKey: ["find", text], queryFn: ({ signal }) => findJobs(text, signal), placeholderData: keepPreviousData });
  const nodes = useQuery(nodesQuery);

  const found = useMemo<Found[]>(() => {
    const lower = text.toLowerCase();
    const pages = PAGES.filter((page) => lower !== "" && page.label.toLowerCase().includes(lower)).map((page) => ({
      key: page.to,
      section: "Pages",
      text: page.label,
      hint: `g ${page.key}`,
      open: () => void navigate({ to: page.to }),
    }));
    const byJob = (jobs.data ?? []).map((job) => ({
      key: job.id,
      section: text === "" ? "Newest active jobs" : "Jobs",
      text: (
        <>
          <JobState job={job} />
          <span className="clip">{job.name}</span>
        </>
      ),
      hint: `${job.project} · ${job.id.slice(-6)}`,
      open: () => void navigate({ to: "/jobs/$job", params: { job: job.id } }),
    }));
    const byNode = (lower === "" ? [] : (nodes.data ?? []).filter((node) => node.name.toLowerCase().includes(lower)).slice(0, 6)).map((node) => ({
      key: node.name,
      section: "Nodes",
      text: (
        <>
          <State look={NODE_LOOK[node.health]} />
          <span className="mono clip">{node.name}</span>
        </>
      ),
      hint: node.pool,
      open: () => void navigate({ to: "/nodes/$node", params: { node: node.name } }),
    }));
    const filter =
      text === ""
        ? []
        : [
            {
              key: "all",
              section: "Lists",
              text: <>All jobs whose name begins with “{text}”</>,
              hint: "",
              open: () => void navigate({ to: "/jobs", search: { name: text } }),
            },
          ];
    return [...byJob, ...byNode, ...pages, ...filter];
  }, [jobs.data, nodes.data, text, navigate]);

  const at = Math.min(picked, Math.max(0, found.length - 1));
  const open = (item: Found | undefined): void => {
    if (!item) return;
    onClose();
    item.open();
  };
  return (
    <Dialog.Root open onOpenChange={(next) => !next && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className="shade" />
        <Dialog.Content className="dialog palette" aria-describedby={undefined}>
          <Dialog.Title className="hidden-text">Search</Dialog.Title>
          <input
            role="combobox"
            aria-expanded="true"
            aria-controls={list}
            aria-activedescendant={found[at] ? `${list}-${at}` : undefined}
            aria-label="Search jobs by name or id, nodes, pages"
            placeholder="Job name or id, node, page"
            spellCheck={false}
            value={typed}
            onChange={(event) => {
              setTyped(event.target.value);
              setPicked(0);
            }}
            onKeyDown={(event) => {
              if (event.key === "ArrowDown" || event.key === "ArrowUp") {
                event.preventDefault();
                setPicked((found.length + at + (event.key === "ArrowDown" ? 1 : -1)) % Math.max(1, found.length));
              } else if (event.key === "Enter") {
                event.preventDefault();
                open(found[at]);
              }
            }}
          />
          <div role="listbox" id={list} aria-label="Found">
            {found.map((item, index) => (
              <div key={`${item.section}/${item.key}`}>
                {found[index - 1]?.section === item.section ? null : <div className="section">{item.section}</div>}
                {/* The input keeps the focus; arrows move through the options. */}
                <div
                  id={`${list}-${index}`}
                  role="option"
                  aria-selected={index === at}
                  tabIndex={-1}
                  onPointerMove={() => setPicked(index)}
                  onClick={() => open(item)}
                  onKeyDown={() => undefined}
                >
                  {item.text}
                  <span className="hint mono nowrap">{item.hint}</span>
                </div>
              </div>
            ))}
            {found.length === 0 ? (
              <p className="section">{jobs.isFetching ? "Searching…" : jobs.isError ? "The server does not answer." : "Nothing found."}</p>
            ) : null}
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
