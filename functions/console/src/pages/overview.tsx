/** The overview: deliveries over time by outcome, failing rules, late deliveries, rejected events. */
import { SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { api, content } from "../api/client";
import { flat, useDeliveries, useRules, useSession, useStats } from "../api/queries";
import { type Delivery, readable, type Rejected, type Rule, type Stats } from "../api/types";
import { millis } from "../lib/time";
import { texts } from "../texts";
import { Empty, Fact, Failure, HealthBadge, Loaded, Loading, Page, TextLink, When } from "../ui/basics";
import { byTone, Columns, Latency } from "../ui/charts";
import { DeliveriesTable } from "./deliveryTable";

const t = texts.overview;
const periods = { day: { days: 1, bucket: "hour" }, week: { days: 7, bucket: "hour" }, month: { days: 30, bucket: "day" } } as const;
type Period = keyof typeof periods;

export default function OverviewPage() {
  const isAdmin = useSession().role === "admin";
  const [period, setPeriod] = useState<Period>("day");
  return (
    <Page title={t.title} lead={t.lead} actions={<SegmentedControl aria-label={t.period} data={Object.entries(t.periods).map(([value, label]) => ({ value, label }))} value={period} onChange={(value) => setPeriod(value as Period)} transitionDuration={0} />}>
      <div className="stack">
        <Numbers period={period} />
        <div className="split">
          <Failing />
          <Late />
        </div>
        {isAdmin && <Unread />}
        <Troubled />
      </div>
    </Page>
  );
}

function Numbers({ period }: { period: Period }) {
  const query = useMemo(() => {
    const { days, bucket } = periods[period];
    const now = Date.now();
    return { from: new Date(now - days * 86_400_000).toISOString(), to: new Date(now).toISOString(), bucket };
  }, [period]);
  const stats = useStats(query);
  return (
    <Loaded query={stats} rows={5}>
      {(data) => (data.buckets.length === 0 ? <Empty title={t.nothing}>{t.nothingHint}</Empty> : <Charts stats={data} />)}
    </Loaded>
  );
}

function Charts({ stats }: { stats: Stats }) {
  const sums: Record<string, number> = {};
  for (const bucket of stats.buckets) for (const [state, number] of Object.entries(bucket.counts)) sums[state] = (sums[state] ?? 0) + number;
  const tones = byTone(sums);
  const ended = tones.ok + tones.bad;
  return (
    <>
      <section className="panel" aria-label={t.numbers}>
        <dl className="facts">
          <Fact term={t.success}>
            <span className="big">{ended === 0 ? "–" : `${((tones.ok / ended) * 100).toFixed(1)} %`}</span>
          </Fact>
          {(["ok", "bad", "warn", "quiet"] as const).map((tone) => (
            <Fact key={tone} term={texts.tones[tone]}>
              <span className="big">{tones[tone].toLocaleString()}</span>
            </Fact>
          ))}
        </dl>
      </section>
      <div className="split">
        <section className="panel stack" aria-labelledby="over-time">
          <h2 id="over-time">{t.overTime}</h2>
          <Columns stats={stats} />
        </section>
        <section className="panel stack" aria-labelledby="latency">
          <h2 id="latency">{t.latency}</h2>
          <Latency stats={stats} />
        </section>
      </div>
      <Numbered stats={stats} />
    </>
  );
}

/** The same numbers in words, for those who do not see the charts. */
function Numbered({ stats }: { stats: Stats }) {
  const states = [...new Set(stats.buckets.flatMap((bucket) => Object.keys(bucket.counts)))];
  return (
    <details>
      <summary>{t.asTable}</summary>
      <div className="tableBox" tabIndex={0} role="region" aria-label={texts.table(t.overTime)}>
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{texts.deliveries.at}</th>
              {states.map((state) => (
                <th key={state} scope="col" className="num">
                  {state}
                </th>
              ))}
              {(["p50", "p95", "p99"] as const).map((key) => (
                <th key={key} scope="col" className="num">
                  {key}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {stats.buckets.map((bucket) => (
              <tr key={bucket.at}>
                <th scope="row">
                  <When at={bucket.at} />
                </th>
                {states.map((state) => (
                  <td key={state} className="num">
                    {bucket.counts[state] ?? 0}
                  </td>
                ))}
                {(["p50", "p95", "p99"] as const).map((key) => (
                  <td key={key} className="num">
                    {millis(bucket.latency_ms?.[key])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** Rules whose newest attempts failed. */
function Failing() {
  const isAdmin = useSession().role === "admin";
  const query = useRules(isAdmin ? "tracking-apis" : "affiliate-postbacks", { failing: "true" }, 20);
  const rules = flat<Rule>(query.data?.pages);
  return (
    <section className="panel stack" aria-labelledby="failing">
      <h2 id="failing">{t.failing}</h2>
      {query.isPending ? (
        <Loading rows={2} />
      ) : query.error ? (
        <Failure error={query.error} />
      ) : rules.length === 0 ? (
        <p className="dim">{t.noneFailing}</p>
      ) : (
        <ul className="stack tight">
          {rules.map((rule) => (
            <li key={rule.id}>
              <div className="row">
                <HealthBadge health={rule.health} />
                <TextLink href={`/rules/${rule.id}`}>{rule.name}</TextLink>
                {rule.health?.failing_since && (
                  <span className="small dim">
                    {texts.rules.since} <When at={rule.health.failing_since} relative />
                  </span>
                )}
              </div>
              {rule.health?.last_error && <p className="small dim break">{rule.health.last_error}</p>}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** Deliveries that wait for their next attempt. */
function Late() {
  const query = useDeliveries({ state: ["waiting"] }, 10);
  const deliveries = flat<Delivery>(query.data?.pages);
  return (
    <section className="panel stack" aria-labelledby="late">
      <h2 id="late">{t.waiting}</h2>
      {query.isPending ? (
        <Loading rows={2} />
      ) : query.error ? (
        <Failure error={query.error} />
      ) : deliveries.length === 0 ? (
        <p className="dim">{t.noneWaiting}</p>
      ) : (
        <ul className="stack tight">
          {deliveries.map((delivery) => (
            <li key={delivery.id}>
              <TextLink href={`/deliveries/${delivery.id}`}>{delivery.conversion_id}</TextLink>{" "}
              <span className="small dim">
                {texts.deliveries.attemptsOf(delivery.attempts, delivery.max_attempts)}, {texts.deliveries.columns.due.toLowerCase()} <When at={delivery.next_due} relative />
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** Events that could not be read: for admins. */
function Unread() {
  const query = useQuery({ queryKey: ["rejected", "few"], queryFn: () => content(api.GET("/events/rejected", { params: { query: { limit: 5 } } })) });
  return (
    <section className="panel stack" aria-labelledby="unread">
      <div className="row apart">
        <h2 id="unread">{texts.rejected.title}</h2>
        <TextLink href="/rejected">{t.allRejected}</TextLink>
      </div>
      <Loaded query={query} rows={1}>
        {(page) => {
          const items = readable<Rejected>(page.items);
          return items.length === 0 ? <p className="dim">{texts.rejected.none}</p> : <p>{t.rejected(items.length, page.next_cursor !== null)}</p>;
        }}
      </Loaded>
    </section>
  );
}

function Troubled() {
  const query = useDeliveries({ state: ["failed", "exhausted", "unresolved"] }, 10);
  const deliveries = flat<Delivery>(query.data?.pages);
  return (
    <section className="stack tight" aria-labelledby="troubled">
      <div className="row apart">
        <h2 id="troubled">{t.troubled}</h2>
        <TextLink href="/deliveries?state=failed&state=exhausted&state=unresolved">{texts.rule.allDeliveries}</TextLink>
      </div>
      {query.isPending ? <Loading rows={2} /> : query.error ? <Failure error={query.error} /> : deliveries.length === 0 ? <Empty title={t.noneTroubled} /> : <DeliveriesTable deliveries={deliveries} columns={["rule", "transaction", "http", "reason"]} />}
    </section>
  );
}
