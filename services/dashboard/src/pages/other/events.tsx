import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { eventsQuery, PAGE_SIZE } from "../../api/queries.ts";
import { parseEventSearch } from "../../lib/url-state.ts";
import { EventList } from "../../ui/event-list.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Failure, Notice, Skeleton } from "../../ui/notice.tsx";
import { pillText, useHeldRows } from "../../ui/use-held-rows.ts";

const FILTERS = ["job", "node", "kind", "project"] as const;

/** Everything that happened, newest first. */
export function EventsPage(): React.ReactNode {
  const search = useSearch({ from: "/events" });
  const navigate = useNavigate();
  const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
  for (const key of [...FILTERS, "cursor"] as const) {
    const value = search[key];
    if (value !== undefined) query.set(key, value);
  }
  const { data, error, refetch, isPlaceholderData } = useQuery(eventsQuery(query));
  const held = useHeldRows(query.toString(), isPlaceholderData ? undefined : data?.items, (event) => event.id);
  const change = (key: (typeof FILTERS)[number] | "cursor", value: string): void => {
    const { cursor: _, ...rest } = search;
    void navigate({ to: "/events", search: parseEventSearch({ ...rest, [key]: value }) });
  };
  const pill = search.cursor === undefined ? pillText(held.fresh, 0) : "";
  return (
    <div className="page whole">
      <h1>Events</h1>
      <section className="panel grow-panel" aria-label="Events" {...held.guard} style={{ position: "relative" }}>
        <search className="filters">
          {FILTERS.map((key) => (
            <form
              key={key}
              onSubmit={(event) => {
                event.preventDefault();
                const value = new FormData(event.currentTarget).get(key);
                change(key, typeof value === "string" ? value : "");
              }}
            >
              <input
                key={search[key] ?? ""}
                className="input"
                style={{ width: 150 }}
                name={key}
                data-filter={key === "job" ? "" : undefined}
                aria-label={key}
                placeholder={key}
                title="Type, then Enter"
                spellCheck={false}
                defaultValue={search[key] ?? ""}
              />
            </form>
          ))}
          {Object.keys(search).length > 0 ? (
            <button type="button" className="button plain small" onClick={() => void navigate({ to: "/events", search: {} })}>
              <Icon name="close" size={11} />
              Remove the filters
            </button>
          ) : null}
        </search>
        {data ? (
          held.rows.length > 0 ? (
            <EventList events={held.rows} />
          ) : (
            <Notice title="No events" />
          )
        ) : error ? (
          <Failure error={error} retry={() => void refetch()} />
        ) : (
          <Skeleton lines={14} />
        )}
        {pill ? (
          <button type="button" className="pill" style={{ bottom: 52 }} onClick={held.take}>
            {pill}: show
          </button>
        ) : null}
        {data ? (
          <nav className="pager" aria-label="Pages of the list">
            <span className="grow">{held.rows.length} newest first</span>
            {search.cursor ? (
              <button type="button" className="button small" onClick={() => change("cursor", "")}>
                First page
              </button>
            ) : null}
            <button
              type="button"
              className="button small"
              disabled={data.next_cursor === null}
              onClick={() => data.next_cursor !== null && change("cursor", data.next_cursor)}
            >
              Next {PAGE_SIZE}
            </button>
          </nav>
        ) : null}
      </section>
    </div>
  );
}
