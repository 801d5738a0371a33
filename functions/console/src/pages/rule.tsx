/** A rule: its health, its content, and a test that really sends. */
import { Button } from "@mantine/core";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { api, content } from "../api/client";
import { flat, useDeliveries, useRule, useStats } from "../api/queries";
import type { Delivery, Event, Rule, Trial } from "../api/types";
import { requestsOf } from "../lib/draft";
import { conditionsInWords, flag, ownerName } from "../lib/words";
import { texts } from "../texts";
import { Badge, Empty, Fact, Failure, HealthBadge, LoadedPage, Loading, Page, TextLink, When } from "../ui/basics";
import { Columns, HealthBar, ScheduleLine } from "../ui/charts";
import { Icon } from "../ui/icons";
import { DeliveriesTable } from "./deliveryTable";
import { DuplicateDialog } from "./duplicate";
import { EventChoice } from "./editor/preview";
import { ActiveSwitch, useRemove } from "./rules";
import { TrialResult } from "./trial";

const t = texts.rule;

export default function RulePage({ id }: { id: string }) {
  const query = useRule(id);
  return (
    <LoadedPage query={query} title={texts.rule.one}>
      {(rule) => <Shown rule={rule} />}
    </LoadedPage>
  );
}

function Shown({ rule }: { rule: Rule }) {
  const [isCopied, setCopied] = useState(false);
  const remove = useRemove();
  const [, go] = useLocation();
  return (
    <Page
      title={rule.name}
      lead={rule.description}
      crumb={{ href: "/", text: texts.back }}
      actions={
        <>
          <Button component={Link} href={`/rules/${rule.id}/edit`} leftSection={<Icon name="edit" size={16} />}>
            {texts.rules.edit}
          </Button>
          <Button variant="default" leftSection={<Icon name="copy" size={16} />} onClick={() => setCopied(true)}>
            {texts.rules.duplicate}
          </Button>
          <Button variant="default" color="red" leftSection={<Icon name="trash" size={16} />} onClick={() => remove(rule, () => go("/"))}>
            {texts.rules.remove}
          </Button>
        </>
      }
    >
      <RuleTabs id={rule.id} current="rule" />
      <div className="stack">
        {rule.inactive_reason && (
          <div className="notice warn">
            <strong>{t.inactive}</strong>
            <span className="break">{rule.inactive_reason}</span>
          </div>
        )}
        {rule.locked_by_admin && <div className="notice info">{t.locked}</div>}
        <Doing rule={rule} />
        <div className="split">
          <div className="stack">
            <Says rule={rule} />
            <Activity id={rule.id} />
          </div>
          <Test rule={rule} />
        </div>
        <Recent id={rule.id} />
      </div>
      {isCopied && <DuplicateDialog rule={rule} close={() => setCopied(false)} />}
    </Page>
  );
}

/** The pages of a rule. */
export function RuleTabs({ id, current }: { id: string; current: "rule" | "history" | "repair" }) {
  const tabs = [
    { key: "rule", href: `/rules/${id}`, text: t.tab },
    { key: "history", href: `/rules/${id}/history`, text: texts.history.title },
    { key: "repair", href: `/rules/${id}/repair`, text: texts.repair.title },
  ];
  return (
    <nav aria-label={t.tabs}>
      <ul className="linkTabs">
        {tabs.map((tab) => (
          <li key={tab.key}>
            <Link href={tab.href} aria-current={tab.key === current ? "page" : undefined}>
              {tab.text}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Doing({ rule }: { rule: Rule }) {
  return (
    <section className="panel" aria-label={texts.rules.health}>
      <dl className="facts">
        <Fact term={texts.rules.on}>
          <ActiveSwitch rule={rule} label={rule.active ? texts.yes : texts.no} />
        </Fact>
        <Fact term={texts.rules.health}>
          <HealthBadge health={rule.health} />
        </Fact>
        <Fact term={texts.health.day}>
          <HealthBar health={rule.health} />
        </Fact>
        <Fact term={t.lastDelivered}>
          <When at={rule.health?.last_delivered_at} relative />
        </Fact>
        {rule.health?.failing_since && (
          <Fact term={t.failingSince}>
            <When at={rule.health.failing_since} relative />
          </Fact>
        )}
        {rule.health?.last_error && <Fact term={t.lastError}>{rule.health.last_error}</Fact>}
        <Fact term={texts.rules.owner}>{ownerName(rule.owner)}</Fact>
        <Fact term={texts.rules.country}>
          {rule.country === "global" ? texts.rules.global : `${flag(rule.country)} ${rule.country}`}
          {rule.category ? ` · ${rule.category}` : ""}
        </Fact>
      </dl>
    </section>
  );
}

function Says({ rule }: { rule: Rule }) {
  const words = conditionsInWords(rule);
  return (
    <section className="panel stack" aria-labelledby="says">
      <h2 id="says">{t.says}</h2>
      <dl className="stack tight">
        <Fact term={texts.rules.fires}>
          {texts.triggers[rule.trigger]}; {words.length > 0 ? words.join("; ") : texts.rules.always}
        </Fact>
        {requestsOf(rule).map(({ step, request }) => (
          <Fact key={step ?? ""} term={step === null ? texts.editor.request : texts.editor.step(step)}>
            <span className="mono">
              <span className="method">{request.method}</span>
              {request.url}
            </span>
            {request.query.length > 0 && (
              <ul className="mono" aria-label={texts.editor.query}>
                {request.query.map((entry, at) => (
                  <li key={at}>
                    {entry.name} = {typeof entry.value === "string" ? entry.value : JSON.stringify(entry.value)}
                  </li>
                ))}
              </ul>
            )}
          </Fact>
        ))}
        {rule.secrets.length > 0 && <Fact term={texts.editor.secrets}>{rule.secrets.join(", ")}</Fact>}
        <Fact term={texts.trial.schedule}>{rule.schedule ? <ScheduleLine schedule={rule.schedule} /> : "–"}</Fact>
      </dl>
      {rule.warnings && rule.warnings.length > 0 && (
        <div className="notice warn">
          <strong>{texts.trial.warnings}</strong>
          <ul>
            {rule.warnings.map((warning) => (
              <li key={warning.pointer + warning.detail} className="small break">
                <code>{warning.pointer}</code> {warning.detail}
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}

function Activity({ id }: { id: string }) {
  const [period] = useState(() => ({ from: new Date(Date.now() - 86_400_000).toISOString(), to: new Date().toISOString(), bucket: "hour" as const, tracking_api_id: id }));
  const query = useStats(period);
  if (!query.data || query.data.buckets.length === 0) return null;
  return (
    <section className="panel stack" aria-labelledby="activity">
      <h2 id="activity">{texts.health.day}</h2>
      <Columns stats={query.data} />
    </section>
  );
}

/** A test: really sent, marked as one, and kept nowhere. */
function Test({ rule }: { rule: Rule }) {
  const [event, setEvent] = useState<Event | null>(null);
  const [trial, setTrial] = useState<Trial | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    setError(null);
    try {
      setTrial(await content(api.POST("/tracking-apis/{id}/test", { params: { path: { id: rule.id } }, body: { send: true, ...(event ? { event } : {}) } })));
    } catch (fault) {
      setTrial(null);
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section className="panel stack" aria-labelledby="test">
      <h2 id="test">{t.test}</h2>
      <p className="small dim">{t.testHint}</p>
      <EventChoice choose={setEvent} ruleId={rule.id} />
      <div>
        <Button loading={busy} onClick={() => void run()}>
          {t.send}
        </Button>
      </div>
      <div aria-live="polite">
        {error !== null && <Failure error={error} />}
        {trial && <TrialResult trial={trial} rule={rule} />}
        {trial && !trial.sent && <Badge tone="warn">{t.notSent}</Badge>}
      </div>
    </section>
  );
}

function Recent({ id }: { id: string }) {
  const query = useDeliveries({ tracking_api_id: id }, 10);
  const deliveries = flat<Delivery>(query.data?.pages);
  return (
    <section className="stack tight" aria-labelledby="recent">
      <div className="row apart">
        <h2 id="recent">{t.recent}</h2>
        <TextLink href={`/deliveries?tracking_api_id=${id}`}>{t.allDeliveries}</TextLink>
      </div>
      {query.isPending ? <Loading rows={3} /> : query.error ? <Failure error={query.error} /> : deliveries.length === 0 ? <Empty title={t.noDeliveries}>{t.noDeliveriesHint}</Empty> : <DeliveriesTable deliveries={deliveries} columns={["transaction", "result", "http", "reason"]} />}
    </section>
  );
}
