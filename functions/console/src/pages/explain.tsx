/** The explanation of a conversion: every rule with its verdict and its deliveries. */
import { Button, SegmentedControl, Switch, TextInput } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useState } from "react";
import { useSearchParams } from "wouter";
import { api, content } from "../api/client";
import { flat } from "../api/queries";
import type { ConversionExplanation, Event, Explanation } from "../api/types";
import { ownerName } from "../lib/words";
import { texts } from "../texts";
import { Badge, Empty, Failure, Loading, Page, TextLink, When } from "../ui/basics";
import { DeliveriesTable } from "./deliveryTable";
import { Verdicts } from "./trial";

const CodeEditor = lazy(() => import("../ui/code"));
const t = texts.explain;

const sample = {
  change_id: "chg_try_1",
  occurred_at: "2026-11-22T09:00:00Z",
  conversion: { conversion_id: "cnv_try", version: 1, change: "created", type: "sale", source: "link", affiliate_id: "aff_7", advertiser_id: "adv_2", offer_id: "off_5" },
  transactions: [{ transaction_id: "trx_try", result: "approved", payout: "5.00", currency: "EUR" }],
};

export default function ExplainPage() {
  const [mode, setMode] = useState("conversion");
  return (
    <Page title={t.title} lead={t.lead}>
      <div className="stack">
        <div>
          <SegmentedControl aria-label={t.what} data={[{ value: "conversion", label: t.conversion }, { value: "event", label: t.event }]} value={mode} onChange={setMode} transitionDuration={0} />
        </div>
        {mode === "conversion" ? <ByConversion /> : <ByEvent />}
      </div>
    </Page>
  );
}

function ByConversion() {
  const [params, setParams] = useSearchParams();
  const conversion = params.get("conversion") ?? "";
  const [typed, setTyped] = useState(conversion);
  useEffect(() => setTyped(conversion), [conversion]);
  const ask = (event: React.FormEvent) => {
    event.preventDefault();
    setParams(typed.trim() === "" ? {} : { conversion: typed.trim() });
  };
  return (
    <>
      <form className="panel row end" onSubmit={ask}>
        <TextInput className="grow" label={t.conversionId} description={t.conversionHint} value={typed} onChange={(event) => setTyped(event.currentTarget.value)} />
        <Button type="submit">{t.ask}</Button>
      </form>
      {conversion === "" ? <Empty title={t.nothingAsked}>{t.nothingAskedHint}</Empty> : <OfConversion key={conversion} id={conversion} />}
    </>
  );
}

function OfConversion({ id }: { id: string }) {
  const query = useInfiniteQuery({
    queryKey: ["explain", id],
    queryFn: ({ pageParam }) => content(api.GET("/conversions/{id}/explain", { params: { path: { id }, query: pageParam === undefined ? {} : { cursor: pageParam } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const all = flat<ConversionExplanation>(query.data?.pages).map((item) => ({ item, fires: item.changes.some((change) => change.fires), key: item.tracking_api_id }));
  if (query.isPending) return <Loading />;
  if (query.error) return <Failure error={query.error} retry={() => void query.refetch()} />;
  return (
    <Found all={all} more={query.hasNextPage ? () => void query.fetchNextPage() : undefined}>
      {(item) => (
        <>
          {item.changes.map((change) => (
            <div key={change.change_id} className="sub">
              <div className="row small">
                <strong>{t.change(change.version)}</strong>
                <When at={change.occurred_at} />
                {change.held && <Badge tone="info">{t.held}</Badge>}
                {change.rule_changed_since && <Badge tone="warn">{t.changedSince}</Badge>}
              </div>
              <Verdicts verdicts={change.verdicts} />
              {change.notes.map((note) => (
                <p key={note.pointer + note.detail} className="small dim break">
                  <code>{note.pointer}</code> {note.detail}
                </p>
              ))}
            </div>
          ))}
          {item.deliveries.length > 0 && <DeliveriesTable deliveries={item.deliveries} columns={["transaction", "http", "reason"]} label={texts.deliveries.ofRule(item.name)} />}
        </>
      )}
    </Found>
  );
}

function ByEvent() {
  const [text, setText] = useState(() => JSON.stringify(sample, null, 2));
  const [asked, setAsked] = useState<Event | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const ask = (event: React.FormEvent) => {
    event.preventDefault();
    try {
      setAsked(JSON.parse(text) as Event);
      setFault(null);
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <>
      <form className="panel stack" onSubmit={ask}>
        <p className="small dim">{t.eventHint}</p>
        <Suspense fallback={<Loading rows={2} />}>
          <CodeEditor label={t.event} language="json" value={text} change={setText} />
        </Suspense>
        {fault !== null && (
          <p className="notice bad" role="alert">
            {fault}
          </p>
        )}
        <div>
          <Button type="submit">{t.ask}</Button>
        </div>
      </form>
      {asked && <OfEvent key={JSON.stringify(asked)} event={asked} />}
    </>
  );
}

function OfEvent({ event }: { event: Event }) {
  const query = useInfiniteQuery({
    queryKey: ["explain-event", event],
    queryFn: ({ pageParam }) => content(api.POST("/explain", { params: { query: pageParam === undefined ? {} : { cursor: pageParam } }, body: { event } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const all = flat<Explanation>(query.data?.pages).map((item) => ({ item, fires: item.fires, key: item.tracking_api_id }));
  if (query.isPending) return <Loading />;
  if (query.error) return <Failure error={query.error} />;
  return (
    <Found all={all} more={query.hasNextPage ? () => void query.fetchNextPage() : undefined}>
      {(item) => <Verdicts verdicts={item.verdicts} />}
    </Found>
  );
}

interface FoundProps<T> {
  all: { item: T; fires: boolean; key: string }[];
  more: (() => void) | undefined;
  children: (item: T) => React.ReactNode;
}

/** The reason that decided last: the conditions of the event of which the fewest said no. */
function reason(item: ConversionExplanation | Explanation): string {
  const verdicts = "changes" in item ? (item.changes.at(-1)?.verdicts ?? []) : item.verdicts;
  const nearest = verdicts.filter((verdict) => !verdict.fires).sort((one, other) => one.reasons.length - other.reasons.length)[0];
  return nearest?.reasons.map((one) => one.detail).join("; ") || t.noReason;
}

/** Rules that fire come first; of the others the reader may ask for those that are near. */
function Found<T extends ConversionExplanation | Explanation>({ all, more, children }: FoundProps<T>) {
  const [onlyFiring, setOnlyFiring] = useState(false);
  const firing = all.filter((one) => one.fires);
  const shown = onlyFiring ? firing : [...firing, ...all.filter((one) => !one.fires)];
  if (all.length === 0) return <Empty title={t.noRules}>{t.noRulesHint}</Empty>;
  return (
    <section className="stack" aria-label={t.results}>
      <div className="row apart">
        <strong role="status">{t.summary(firing.length, all.length)}</strong>
        <Switch label={t.onlyFiring} checked={onlyFiring} onChange={(event) => setOnlyFiring(event.currentTarget.checked)} withThumbIndicator={false} />
      </div>
      {shown.map(({ item, fires, key }) => (
        <article key={key} className="panel stack tight">
          <div className="row">
            <Badge tone={fires ? "ok" : "quiet"}>{fires ? t.fires : t.firesNot}</Badge>
            <TextLink href={`/rules/${item.tracking_api_id}`}>{item.name}</TextLink>
            <span className="small dim">{ownerName(item.owner)}</span>
            {!item.active && <Badge tone="warn">{t.off}</Badge>}
          </div>
          {fires ? (
            children(item)
          ) : (
            <details>
              <summary className="small break">{reason(item)}</summary>
              <div className="stack tight">{children(item)}</div>
            </details>
          )}
        </article>
      ))}
      {more && (
        <div>
          <Button variant="default" onClick={more}>
            {texts.loadMore}
          </Button>
        </div>
      )}
    </section>
  );
}
