/** The signed-in app: navigation beside the page that the address names. */
import { ActionIcon, Button, Drawer, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { lazy, Suspense, useEffect, useState } from "react";
import { Link, Redirect, Route, Router, Switch, useLocation } from "wouter";
import { useSession } from "./api/queries";
import { RulesPage } from "./pages/rules";
import { session } from "./session";
import { texts } from "./texts";
import { Boundary, Empty, Loading, Page, TextLink } from "./ui/basics";
import { Icon, type IconName } from "./ui/icons";

const EditorPage = lazy(() => import("./pages/editor/page"));
const GalleryPage = lazy(() => import("./pages/editor/gallery"));
const RulePage = lazy(() => import("./pages/rule"));
const HistoryPage = lazy(() => import("./pages/history"));
const RepairPage = lazy(() => import("./pages/repair"));
const DeliveriesPage = lazy(() => import("./pages/deliveries"));
const DeliveryPage = lazy(() => import("./pages/delivery"));
const ExplainPage = lazy(() => import("./pages/explain"));
const OverviewPage = lazy(() => import("./pages/overview"));
const ReplaysPage = lazy(() => import("./pages/replays"));
const RejectedPage = lazy(() => import("./pages/rejected"));
const OffersPage = lazy(() => import("./pages/offers"));
const QuotasPage = lazy(() => import("./pages/quotas"));
const MacrosPage = lazy(() => import("./pages/macros"));

interface Entry {
  href: string;
  text: string;
  icon: IconName;
}

const forAll: Entry[] = [
  { href: "/overview", text: texts.overview.title, icon: "overview" },
  { href: "/affiliate-postbacks", text: texts.rules.postbacks, icon: "people" },
  { href: "/deliveries", text: texts.deliveries.title, icon: "log" },
  { href: "/explain", text: texts.explain.title, icon: "explain" },
  { href: "/replays", text: texts.replays.title, icon: "replay" },
  { href: "/macros", text: texts.macros.title, icon: "macros" },
];

const forAdmins: Entry[] = [
  { href: "/tracking-apis", text: texts.rules.trackingApis, icon: "rules" },
  { href: "/rejected", text: texts.rejected.title, icon: "rejected" },
  { href: "/offers", text: texts.offers.title, icon: "offers" },
  { href: "/quotas", text: texts.quotas.title, icon: "quota" },
];

export function App() {
  return (
    <Router base="/console">
      <Shell />
    </Router>
  );
}

function Shell() {
  const [location] = useLocation();
  const [open, setOpen] = useState(false);
  useEffect(() => {
    setOpen(false);
    window.scrollTo(0, 0);
  }, [location]);
  return (
    <>
      <a className="skip" href="#main" onClick={focusMain}>
        {texts.skip}
      </a>
      <section className="topbar" aria-label={texts.nav.bar}>
        <Brand />
        <ActionIcon variant="default" size="lg" aria-label={texts.nav.open} aria-expanded={open} onClick={() => setOpen(true)}>
          <Icon name="menu" />
        </ActionIcon>
      </section>
      <Drawer opened={open} onClose={() => setOpen(false)} title={texts.app} size="18rem" lockScroll={false} closeButtonProps={{ "aria-label": texts.close }} transitionProps={{ duration: 0 }}>
        <div className="side inDrawer">
          <Navigation />
        </div>
      </Drawer>
      <div className="shell">
        <aside className="side" aria-label={texts.app}>
          <Brand />
          <Navigation />
        </aside>
        <main className="main" id="main" tabIndex={-1}>
          <Boundary key={location}>
            <Suspense fallback={<Loading />}>
              <Pages />
            </Suspense>
          </Boundary>
        </main>
      </div>
    </>
  );
}

/** The link to the content keeps the address: a fragment would be a page of its own in the history. */
function focusMain(event: React.MouseEvent) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Brand() {
  return (
    <div className="brand">
      <img src="/console/icon.svg" alt="" width={26} height={26} />
      {texts.app}
    </div>
  );
}

function Navigation() {
  const { role, affiliateId } = useSession();
  const isAdmin = role === "admin";
  return (
    <>
      <nav aria-label={texts.nav.label} className="stack">
        {isAdmin && <Entries title={texts.nav.admins} entries={forAdmins} />}
        <Entries title={isAdmin ? texts.nav.everybody : null} entries={forAll} />
      </nav>
      <div className="who stack tight">
        <span className="small dim">{texts.nav.signedInAs}</span>
        <span className="strong break">{isAdmin ? texts.admin : affiliateId}</span>
        <div className="row">
          <SchemeButton />
          <Button size="compact-sm" variant="default" leftSection={<Icon name="exit" size={14} />} onClick={() => session.end(texts.signIn.left)}>
            {texts.nav.leave}
          </Button>
        </div>
      </div>
    </>
  );
}

function Entries({ title, entries }: { title: string | null; entries: Entry[] }) {
  const [location] = useLocation();
  const id = title === null ? undefined : `nav-${title.replaceAll(" ", "-")}`;
  return (
    <div>
      {title !== null && (
        <div className="navTitle" id={id}>
          {title}
        </div>
      )}
      <ul className="nav" aria-labelledby={id}>
        {entries.map(({ href, text, icon }) => (
          <li key={href}>
            <Link href={href} aria-current={location === href || location.startsWith(`${href}/`) ? "page" : undefined}>
              <Icon name={icon} />
              {text}
            </Link>
          </li>
        ))}
      </ul>
    </div>
  );
}

function SchemeButton() {
  const { setColorScheme } = useMantineColorScheme();
  const isDark = useComputedColorScheme("light") === "dark";
  return (
    <ActionIcon variant="default" size="md" aria-label={isDark ? texts.nav.light : texts.nav.dark} onClick={() => setColorScheme(isDark ? "light" : "dark")}>
      <Icon name={isDark ? "sun" : "moon"} size={16} />
    </ActionIcon>
  );
}

function Pages() {
  const isAdmin = useSession().role === "admin";
  return (
    <Switch>
      <Route path="/">
        <Redirect to={isAdmin ? "/tracking-apis" : "/affiliate-postbacks"} replace />
      </Route>
      <Route path="/signed-in">
        <Redirect to="/" replace />
      </Route>
      {isAdmin && (
        <Route path="/tracking-apis">
          <RulesPage key="all" list="tracking-apis" />
        </Route>
      )}
      <Route path="/affiliate-postbacks">
        <RulesPage key="postbacks" list="affiliate-postbacks" />
      </Route>
      <Route path="/rules/new" component={GalleryPage} />
      <Route path="/rules/new/:preset">{({ preset }) => <EditorPage key={preset} presetId={preset} />}</Route>
      <Route path="/rules/:id">{({ id }) => <RulePage key={id} id={id} />}</Route>
      <Route path="/rules/:id/edit">{({ id }) => <EditorPage key={id} ruleId={id} />}</Route>
      <Route path="/rules/:id/history">{({ id }) => <HistoryPage key={id} id={id} />}</Route>
      <Route path="/rules/:id/repair">{({ id }) => <RepairPage key={id} id={id} />}</Route>
      <Route path="/deliveries" component={DeliveriesPage} />
      <Route path="/deliveries/:id">{({ id }) => <DeliveryPage key={id} id={id} />}</Route>
      <Route path="/explain" component={ExplainPage} />
      <Route path="/overview" component={OverviewPage} />
      <Route path="/replays" component={ReplaysPage} />
      <Route path="/macros" component={MacrosPage} />
      {isAdmin && <Route path="/rejected" component={RejectedPage} />}
      {isAdmin && <Route path="/offers" component={OffersPage} />}
      {isAdmin && <Route path="/quotas" component={QuotasPage} />}
      <Route>
        <Page title={texts.errors.notFound}>
          <Empty title={texts.errors.noPage} action={<TextLink href="/">{texts.errors.home}</TextLink>} />
        </Page>
      </Route>
    </Switch>
  );
}
