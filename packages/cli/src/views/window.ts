import type { WindowView } from "@muster/model";
import type { Shape } from "../print.ts";
import type { Session } from "../session.ts";
import { abbreviate, clean } from "../text.ts";

export function windowShape({ colours }: Session): Shape<WindowView> {
  return {
    name: (window) => window.name,
    columns: [
      { title: "WINDOW", value: (window) => window.name },
      { title: "STATE", value: (window) => (window.state === "open" ? colours.yellow("open") : window.state) },
      { title: "START", value: (window) => window.start },
      { title: "END", value: (window) => window.end },
      { title: "NODES", value: (window) => String(window.node_count), right: true },
      { title: "WHERE", value: (window) => [window.pool, ...window.block].filter(Boolean).join("/") || abbreviate(window.nodes) },
      { title: "FOR", value: (window) => abbreviate([...window.queues.map((queue) => `queue ${queue}`), ...window.jobs]) || "maintenance" },
      { title: "REASON", value: (window) => clean(window.reason), wide: true },
    ],
  };
}
