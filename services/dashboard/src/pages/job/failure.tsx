import { Link } from "@tanstack/react-router";
import type { JobView } from "@muster/model";
import { humanize, sentence } from "../../lib/format.ts";
import { FAILURE_WORDS } from "../../lib/words.ts";
import type { FailureView } from "../../lib/words.ts";

/** What it failed of, what it was taken for and on what evidence. */
export function FailurePanel({ job, failure, recovering }: { job: JobView; failure: FailureView; recovering: boolean }): React.ReactNode {
  const tone = recovering ? "warn" : "bad";
  return (
    <section className="panel failure" data-tone={tone} aria-labelledby="failure">
      <header>
        <h2 id="failure">{recovering ? "What it recovers from" : "Why it failed"}</h2>
        <span className="tag" data-tone={tone}>
          {FAILURE_WORDS[failure.class]}
        </span>
        <span className="more">{humanize(failure.rule)}</span>
      </header>
      <div className="body">
        <p className="message">{sentence(failure.message)}</p>
        <p className="muted">
          {[failure.worker ?? "", failure.exit_code === null ? "" : `exit code ${failure.exit_code}`, failure.signal ?? ""].filter(Boolean).join(" · ")}
          {failure.node ? (
            <>
              {failure.worker ? " on " : ""}
              <Link to="/nodes/$node" params={{ node: failure.node }} className="mono">
                {failure.node}
              </Link>
            </>
          ) : null}
        </p>
        {failure.evidence.length > 0 ? <pre className="evidence">{failure.evidence.join("\n")}</pre> : null}
        <p className="next">
          <span className="muted">Next</span>{" "}
          {failure.rule === "start_refused" ? (
            "Correct the spec, and submit it anew."
          ) : (
            <>
              <Link
                to="/jobs/$job"
                params={{ job: job.id }}
                search={{ tab: "logs", attempt: job.attempt, ...(failure.worker ? { worker: failure.worker } : {}) }}
                className="linked"
              >
                Read what {failure.worker ?? "it"} wrote
              </Link>
              {recovering ? "; the next attempt starts by itself." : "; requeue the job when the cause is mended."}
            </>
          )}
        </p>
      </div>
    </section>
  );
}
