import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { useLive } from "../api/live.ts";
import { meQuery, overviewQuery } from "../api/queries.ts";
import { Icon, Mark } from "../ui/icons.tsx";
import { Failure, Notice } from "../ui/notice.tsx";
import { Account } from "./account.tsx";
import { Fresh } from "./fresh.tsx";
import { Help } from "./help.tsx";
import { listenKeys } from "./keyboard.ts";
import { Palette } from "./palette.tsx";
import { PAGES } from "./pages.ts";

export function Shell(): React.ReactNode {
  const client = useQueryClient();
  const navigate = useNavigate();
  const { job } = useParams({ strict: false });
  const [open, setOpen] = useState<"palette" | "help">();
  const main = useRef<HTMLElement>(null);
  useLive(client, job);
  const { data: overview } = useQuery(overviewQuery);
  useQuery(meQuery);
  const incidents = overview?.open_incidents.length ?? 0;

  useEffect(
    () =>
      listenKeys({
        go: (letter) => {
          const page = PAGES.find((item) => item.key === letter);
          if (page) void navigate({ to: page.to });
        },
        search: () => setOpen("palette"),
        help: () => setOpen("help"),
        filter: () => document.querySelector<HTMLElement>("[data-filter]")?.focus(),
        escape: () => document.querySelector<HTMLAnchorElement>("[data-parent]")?.click(),
      }),
    [navigate],
  );

  return (
    <div className="app">
      <a
        href="#main"
        className="hidden-text"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the page
      </a>
      <header className="bar">
        <Link to="/" className="brand" aria-label="Muster, overview">
          <Mark />
          <span>Muster</span>
        </Link>
        <nav className="nav" aria-label="Pages">
          {PAGES.map((page) => (
            <Link key={page.to} to={page.to} activeOptions={{ exact: page.to === "/", includeSearch: false }} title={`${page.label} (g ${page.key})`}>
              {page.label}
              {page.to === "/incidents" && incidents > 0 ? (
                <span className="count" data-tone="bad" title="open incidents">
                  {incidents}
                </span>
              ) : null}
            </Link>
          ))}
        </nav>
        <div className="tools">
          <Fresh />
          <button type="button" className="finder" onClick={() => setOpen("palette")} aria-label="Search jobs, nodes and pages">
            <Icon name="search" />
            <span>Search</span>
            <span className="kbd" aria-hidden="true" style={{ flex: "none" }}>
              /
            </span>
          </button>
          <button type="button" className="button plain square" aria-label="Keyboard help" title="Keyboard help (?)" onClick={() => setOpen("help")}>
            <Icon name="help" />
          </button>
          <Account />
        </div>
      </header>
      <main className="main" id="main" ref={main} tabIndex={-1}>
        <Outlet />
      </main>
      {open === "palette" ? <Palette onClose={() => setOpen(undefined)} /> : null}
      {open === "help" ? <Help onClose={() => setOpen(undefined)} /> : null}
    </div>
  );
}

export function PageMissing(): React.ReactNode {
  return (
    <div className="page">
      <Notice shape="slash" title="There is no such page">
        <Link to="/" className="button">
          Go to the overview
        </Link>
      </Notice>
    </div>
  );
}

export function PageFailure({ error, reset }: { error: unknown; reset: () => void }): React.ReactNode {
  return (
    <div className="page">
      <Failure error={error} retry={reset} />
    </div>
  );
}
