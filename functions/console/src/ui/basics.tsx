/** The small parts of every page: heads, times, states, and placeholders. */
import { Anchor, Button } from "@mantine/core";
import { Component, type ReactNode, useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { ApiFault } from "../api/client";
import type { Health, State } from "../api/types";
import { ago, exact, utc } from "../lib/time";
import { texts } from "../texts";

/** A page: title, actions, content. The title takes the focus when the page is opened. */
export function Page(props: { title: string; lead?: ReactNode; crumb?: { href: string; text: string } | undefined; actions?: ReactNode; children: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${props.title} · ${texts.app}`;
  }, [props.title]);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  return (
    <>
      <div className="pageHead">
        <div className="grow">
          {props.crumb && (
            <div className="crumbs">
              <TextLink href={props.crumb.href}>← {props.crumb.text}</TextLink>
            </div>
          )}
          <h1 ref={heading} tabIndex={-1}>
            {props.title}
          </h1>
          {props.lead && <div className="dim small">{props.lead}</div>}
        </div>
        {props.actions && <div className="row">{props.actions}</div>}
      </div>
      {props.children}
    </>
  );
}

/** A link to another page of the console. */
export function TextLink({ href, children }: { href: string; children: ReactNode }) {
  return (
    <Anchor component={Link} href={href} size="sm" underline="always">
      {children}
    </Anchor>
  );
}

/** A time in the reader's zone, or with `relative` the time since then; UTC is shown on hover. */
export function When({ at, relative = false }: { at: string | null | undefined; relative?: boolean }) {
  if (!at) return <span className="dim">–</span>;
  return (
    <time dateTime={at} title={relative ? `${exact(at)} (${utc(at)})` : utc(at)} className="nowrap">
      {relative ? ago(at) : exact(at)}
    </time>
  );
}

export type Tone = "ok" | "bad" | "warn" | "info" | "quiet";

const tones: Record<State, Tone> = {
  delivered: "ok",
  failed: "bad",
  exhausted: "bad",
  unresolved: "bad",
  waiting: "warn",
  held: "info",
  sending: "info",
  expired: "quiet",
  superseded: "quiet",
  cancelled: "quiet",
  skipped: "quiet",
};

export function toneOf(state: State): Tone {
  return tones[state];
}

export function Badge({ tone, children }: { tone: Tone; children: ReactNode }) {
  return <span className={`badge ${tone}`}>{children}</span>;
}

export function StateBadge({ state }: { state: State }) {
  return <Badge tone={tones[state]}>{texts.states[state].name}</Badge>;
}

export function HealthBadge({ health }: { health: Health | undefined }) {
  const state = health?.state ?? "idle";
  const tone = { ok: "ok", failing: "bad", idle: "quiet" } as const;
  return <Badge tone={tone[state]}>{texts.health[state]}</Badge>;
}

export function Loading({ rows = 4 }: { rows?: number }) {
  return (
    <div className="stack tight" role="status" aria-label={texts.loading}>
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className="skeleton" />
      ))}
    </div>
  );
}

/** The button below a list that is read page by page; nothing once all is read. */
export function More({ query }: { query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => Promise<unknown> } }) {
  if (!query.hasNextPage) return null;
  return (
    <div>
      <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
        {texts.loadMore}
      </Button>
    </div>
  );
}

export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="panel empty">
      <strong>{title}</strong>
      {children && <p>{children}</p>}
      {action}
    </div>
  );
}

/** A fault of the API, with a remedy. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const fault = error instanceof ApiFault ? error : null;
  const text = error instanceof Error ? error.message : String(error);
  const isMissing = fault?.status === 404;
  return (
    <div className="notice bad" role="alert">
      <strong>{isMissing ? texts.errors.notFound : texts.errors.title}</strong>
      <span className="break">{isMissing ? texts.errors.missing : text}</span>
      {fault && fault.faults.length > 0 && (
        <ul>
          {fault.faults.map((one) => (
            <li key={one.pointer + one.detail} className="break">
              <code>{one.pointer}</code> {one.detail}
            </li>
          ))}
        </ul>
      )}
      {fault?.retryAfter && <span>{texts.errors.retryAfter(fault.retryAfter)}</span>}
      {retry && (
        <div>
          <Button size="xs" variant="default" onClick={retry}>
            {texts.again}
          </Button>
        </div>
      )}
    </div>
  );
}

interface Query<T> {
  data: T | undefined;
  error: unknown;
  refetch: () => unknown;
}

/** The content of a query, or a placeholder until it is loaded. */
export function Loaded<T>({ query, rows, children }: { query: Query<T>; rows?: number; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Failure error={query.error} retry={() => void query.refetch()} />;
  return <Loading {...(rows === undefined ? {} : { rows })} />;
}

/** The filters of a list: folded where the screen is narrow. */
export function FilterBox({ children }: { children: ReactNode }) {
  const [isWide] = useState(() => window.matchMedia("(min-width: 48em)").matches);
  return (
    <search className="panel">
      <details className="filters" open={isWide}>
        <summary>{texts.filters}</summary>
        <div className="cols">{children}</div>
      </details>
    </search>
  );
}

/** A page that breaks says so in words, and leaves the rest of the console as it is. */
export class Boundary extends Component<{ children: ReactNode }, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <Page title={texts.errors.broken}>
        <Failure error={this.state.error} retry={() => window.location.reload()} />
      </Page>
    );
  }
}

/** The content of a whole page from a query: the page has a title before the content is loaded. */
export function LoadedPage<T>({ query, title, children }: { query: Query<T>; title: string; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return children(query.data);
  return (
    <Page title={title} crumb={{ href: "/", text: texts.back }}>
      {query.error ? <Failure error={query.error} retry={() => void query.refetch()} /> : <Loading rows={6} />}
    </Page>
  );
}

export function Fact({ term, children }: { term: string; children: ReactNode }) {
  return (
    <div>
      <dt>{term}</dt>
      <dd>{children}</dd>
    </div>
  );
}
