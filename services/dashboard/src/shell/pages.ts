/** The pages of the bar, with the letter that `g` takes. */
export const PAGES = [
  { to: "/", label: "Overview", key: "o" },
  { to: "/jobs", label: "Jobs", key: "j" },
  { to: "/nodes", label: "Nodes", key: "n" },
  { to: "/queues", label: "Queues", key: "q" },
  { to: "/incidents", label: "Incidents", key: "i" },
  { to: "/events", label: "Events", key: "e" },
] as const;
