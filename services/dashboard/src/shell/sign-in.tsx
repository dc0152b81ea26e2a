import { useState } from "react";
import { signIn } from "../api/session.ts";
import { Mark } from "../ui/icons.tsx";

/** Takes the token, tries it, and goes on to the page that was asked for. */
export function SignIn(): React.ReactNode {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const submit = async (): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      const response = await fetch("/v1/me", { headers: { authorization: `Bearer ${token.trim()}` }, cache: "no-store" });
      if (response.ok) {
        signIn(token);
        return;
      }
      setProblem(response.status === 401 ? "This token is not known, or it has expired." : `The server answered ${response.status}. Try again in a moment.`);
    } catch {
      setProblem(/[^\u0020-\u007E]/.test(token) ? "A token has no such characters. Copy it again." : "The server does not answer. Is it running?");
    }
    setBusy(false);
  };
  return (
    <main className="signin">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (token.trim() !== "") void submit();
        }}
      >
        <span className="brand">
          <Mark />
          <span style={{ display: "inline" }}>Muster</span>
        </span>
        <p className="muted">
          Sign in with an API token. <code className="mono">npm start</code> prints a link that does it for you;{" "}
          <code className="mono">muster token create</code> makes another.
        </p>
        <label className="field">
          <span>Token</span>
          <input
            className="input"
            type="password"
            name="token"
            autoComplete="off"
            spellCheck={false}
            value={token}
            aria-invalid={problem !== undefined}
            aria-describedby={problem ? "signin-problem" : undefined}
            onChange={(event) => setToken(event.target.value)}
          />
        </label>
        {problem ? (
          <p id="signin-problem" role="alert" data-tone="bad" className="toned">
            {problem}
          </p>
        ) : null}
        <button type="submit" className="button primary" disabled={busy || token.trim() === ""}>
          {busy ? "Trying…" : "Sign in"}
        </button>
        <p className="faint">It is kept in this tab until you close it, and is never part of a URL that reaches the server.</p>
      </form>
    </main>
  );
}
