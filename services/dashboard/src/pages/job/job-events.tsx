import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { jobEventsQuery } from "../../api/queries.ts";
import { EventList } from "../../ui/event-list.tsx";
import { Failure, Skeleton } from "../../ui/notice.tsx";

export function JobEvents({ job, fill = false }: { job: string; fill?: boolean }): React.ReactNode {
  const { data, error, refetch } = useQuery(jobEventsQuery(job));
  const events = [...(data?.items ?? [])].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  return (
    <section className={fill ? "panel grow-panel" : "panel"} aria-label="Events">
      {fill ? null : (
        <header>
          <h2>Newest events</h2>
          <Link to="/jobs/$job" params={{ job }} search={{ tab: "events" }} className="more">
            All
          </Link>
        </header>
      )}
      {data ? (
        <EventList events={fill ? events : events.slice(0, 9)} within="job" />
      ) : error ? (
        <Failure error={error} retry={() => void refetch()} />
      ) : (
        <Skeleton />
      )}
    </section>
  );
}
