/** The start: the session of the link or of this tab, the configuration, and then the app or the page to sign in. */
import "./styles.css";
import { createTheme, MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode, useEffect, useState, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { ApiFault } from "./api/client";
import { App } from "./app";
import { Welcome } from "./pages/welcome";
import { type Config, session, sessionOf, takeToken } from "./session";
import { texts } from "./texts";
import { Failure, Loading } from "./ui/basics";
import { FeedbackProvider } from "./ui/feedback";

// Before anything else runs: the token leaves the address bar.
const token = takeToken();

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      retry: (count, error) => count < 2 && (!(error instanceof ApiFault) || error.status >= 500),
    },
  },
});

/** Menus and lists of choices open inside the main landmark, where a screen reader finds them. */
const inMain = { defaultProps: { portalProps: { target: "#main" } } };
const theme = createTheme({ respectReducedMotion: true, components: { Menu: inMain, Combobox: inMain, Popover: inMain } });

/** The path that the issuer sends people back to. */
const SIGNED_IN = "/console/signed-in";

async function start(): Promise<Config> {
  const answer = await fetch("/console/config.json");
  if (!answer.ok) throw new Error(texts.errors.status(answer.status));
  const config = (await answer.json()) as Config;
  if (config.sign_in && window.location.pathname === SIGNED_IN && window.location.search.includes("state=")) {
    const { arrive } = await import("./signIn");
    const { session: arrived, page } = await arrive(config);
    window.history.replaceState(null, "", page);
    if (!arrived) throw new Error(texts.signIn.noRole);
    session.begin(arrived);
  } else if (token !== null) {
    const known = sessionOf(token, config);
    if (known) session.begin(known);
  }
  return config;
}

function Root() {
  const [config, setConfig] = useState<Config | null>(null);
  const [error, setError] = useState<unknown>(null);
  const current = useSyncExternalStore(session.subscribe, session.current);
  useEffect(() => {
    start().then(setConfig, setError);
  }, []);
  useEffect(() => {
    if (!current) queries.clear();
  }, [current]);
  if (error !== null) return <Shown>{<Failure error={error} retry={() => window.location.assign("/console/")} />}</Shown>;
  if (!config) return <Shown>{<Loading />}</Shown>;
  if (!current) return <Welcome config={config} />;
  return <App key={current.token} />;
}

function Shown({ children }: { children: React.ReactNode }) {
  return (
    <div className="welcome">
      <main>
        <h1 className="hidden">{texts.app}</h1>
        {children}
      </main>
    </div>
  );
}

// A link of another session, opened in a tab that has the console already, changes the fragment alone.
window.addEventListener("hashchange", () => {
  if (window.location.hash.startsWith("#token=")) {
    takeToken();
    window.location.reload();
  }
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      {/* Mantine's variables and classes are in styles.css: as style elements the content security policy refuses them. */}
      <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
        <QueryClientProvider client={queries}>
          <FeedbackProvider>
            <Root />
          </FeedbackProvider>
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}
