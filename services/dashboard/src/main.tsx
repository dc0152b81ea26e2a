import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { worthRetrying } from "./api/client.ts";
import { noteAnswer } from "./api/live.ts";
import { openSession, useToken } from "./api/session.ts";
import { makeRouter } from "./router.tsx";
import { applyTheme } from "./shell/preferences.ts";
import { SignIn } from "./shell/sign-in.tsx";
import { ToastProvider } from "./ui/toast.tsx";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/shell.css";
import "./styles/table.css";
import "./styles/overview.css";
import "./styles/jobs.css";
import "./styles/job.css";
import "./styles/log.css";
import "./styles/nodes.css";

applyTheme();
const client = new QueryClient({
  queryCache: new QueryCache({ onSuccess: noteAnswer }),
  defaultOptions: {
    queries: {
      staleTime: 1000,
      retry: (failures, error) => failures < 2 && worthRetrying(error),
      retryDelay: (failures) => Math.min(4000, 500 * 2 ** failures),
      refetchOnWindowFocus: false,
    },
  },
});
const router = makeRouter(client);

function App(): React.ReactNode {
  const token = useToken();
  // What one person was shown is not for the next.
  if (token === null) {
    client.clear();
    return <SignIn />;
  }
  return (
    <QueryClientProvider client={client}>
      <ToastProvider>
        <RouterProvider router={router} />
      </ToastProvider>
    </QueryClientProvider>
  );
}

await openSession();
const element = document.getElementById("app");
if (element) {
  createRoot(element).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
