import { createRootRouteWithContext, createRoute, createRouter } from "@tanstack/react-router";
import type { QueryClient } from "@tanstack/react-query";
import { parseEventSearch, parseIncidentSearch, parseJobPageSearch, parseJobSearch, parseNodeSearch, parseSearch, stringifySearch } from "./lib/url-state.ts";
import { EventsPage } from "./pages/other/events.tsx";
import { IncidentsPage } from "./pages/other/incidents.tsx";
import { QueuesPage } from "./pages/other/queues.tsx";
import { JobPage } from "./pages/job/job.tsx";
import { JobsPage } from "./pages/jobs/jobs.tsx";
import { NodePage } from "./pages/nodes/node.tsx";
import { NodesPage } from "./pages/nodes/nodes.tsx";
import { OverviewPage } from "./pages/overview/overview.tsx";
import { PageFailure, PageMissing, Shell } from "./shell/shell.tsx";

const root = createRootRouteWithContext<{ client: QueryClient }>()({ component: Shell, notFoundComponent: PageMissing, errorComponent: PageFailure });
const overview = createRoute({ getParentRoute: () => root, path: "/", component: OverviewPage });
const jobs = createRoute({ getParentRoute: () => root, path: "/jobs", component: JobsPage, validateSearch: parseJobSearch });
const job = createRoute({ getParentRoute: () => root, path: "/jobs/$job", component: JobPage, validateSearch: parseJobPageSearch });
const nodes = createRoute({ getParentRoute: () => root, path: "/nodes", component: NodesPage, validateSearch: parseNodeSearch });
const node = createRoute({ getParentRoute: () => root, path: "/nodes/$node", component: NodePage });
const queues = createRoute({ getParentRoute: () => root, path: "/queues", component: QueuesPage });
const incidents = createRoute({ getParentRoute: () => root, path: "/incidents", component: IncidentsPage, validateSearch: parseIncidentSearch });
const events = createRoute({ getParentRoute: () => root, path: "/events", component: EventsPage, validateSearch: parseEventSearch });

export const makeRouter = (client: QueryClient) =>
  createRouter({
    routeTree: root.addChildren([overview, jobs, job, nodes, node, queues, incidents, events]),
    context: { client },
    parseSearch,
    stringifySearch,
    scrollRestoration: false,
    defaultPreload: false,
  });

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
