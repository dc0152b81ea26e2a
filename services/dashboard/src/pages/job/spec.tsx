import { useQuery } from "@tanstack/react-query";
import { specQuery } from "../../api/queries.ts";
import type { JobPageSearch } from "../../lib/url-state.ts";
import { Failure, Skeleton } from "../../ui/notice.tsx";
import { useSay } from "../../ui/toast.tsx";

export function Spec({ job, search, onSearch }: { job: string; search: JobPageSearch; onSearch: (next: JobPageSearch) => void }): React.ReactNode {
  const view = search.view ?? "resolved";
  const say = useSay();
  const { data: text, error, refetch } = useQuery(specQuery(job, view));
  const { view: _, ...rest } = search;
  return (
    <section className="panel grow-panel" aria-label="Spec">
      <header>
        <div className="spread" role="group" aria-label="Which spec">
          <button
            type="button"
            className="button small"
            aria-pressed={view === "resolved"}
            onClick={() => onSearch(rest)}
            title="With every default and what the server resolved"
          >
            Resolved
          </button>
          <button
            type="button"
            className="button small"
            aria-pressed={view === "submitted"}
            onClick={() => onSearch({ ...rest, view: "submitted" })}
            title="As it was sent"
          >
            Submitted
          </button>
        </div>
        <button
          type="button"
          className="button plain small more"
          disabled={text === undefined}
          onClick={() =>
            void navigator.clipboard.writeText(text ?? "").then(
              () => say("done", "Spec copied"),
              () => say("bad", "The browser did not allow to copy"),
            )
          }
        >
          Copy as YAML
        </button>
      </header>
      {text === undefined ? (
        error ? (
          <Failure error={error} retry={() => void refetch()} />
        ) : (
          <Skeleton lines={14} />
        )
      ) : (
        <pre className="spec scroll" tabIndex={0}>
          {text}
        </pre>
      )}
    </section>
  );
}
