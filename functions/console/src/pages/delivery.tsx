/** A delivery as a line of time: its attempts with request and answer, what is due next, and what can be done. */
import { Button, Checkbox } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { api, content } from "../api/client";
import { useRefresh, useRule, useSession } from "../api/queries";
import type { Attempt, DeliveryWithLog } from "../api/types";
import { millis } from "../lib/time";
import { ownerName } from "../lib/words";
import { texts } from "../texts";
import { Badge, Fact, Failure, Loaded, LoadedPage, Page, StateBadge, TextLink, type Tone, When } from "../ui/basics";
import { useFeedback } from "../ui/feedback";
import { RequestView } from "./trial";

const t = texts.delivery;
const open = new Set(["waiting", "held", "sending"]);

export default function DeliveryPage({ id }: { id: string }) {
  const query = useQuery({
    queryKey: ["delivery", id],
    queryFn: () => content(api.GET("/deliveries/{id}", { params: { path: { id } } })),
    // A delivery that is open moves by itself.
    refetchInterval: (state) => (state.state.data && "state" in state.state.data && open.has(state.state.data.state) ? 3_000 : false),
  });
  return (
    <LoadedPage query={query} title={t.one}>
      {(delivery) => ("unreadable" in delivery ? <Failure error={new Error(t.unreadable)} /> : <Shown delivery={delivery} />)}
    </LoadedPage>
  );
}

function Shown({ delivery }: { delivery: DeliveryWithLog }) {
  const isAdmin = useSession().role === "admin";
  return (
    <Page title={t.title(delivery.conversion_id)} lead={<span className="mono break">{delivery.id}</span>} crumb={{ href: "/deliveries", text: texts.deliveries.title }} actions={<Acts delivery={delivery} />}>
      <div className="stack">
        <div className={`notice ${noticeTone(delivery)}`} role="status">
          <div className="row">
            <StateBadge state={delivery.state} />
            <span>{texts.states[delivery.state].hint}</span>
          </div>
          {delivery.reason && <span className="break">{delivery.reason}</span>}
          {delivery.next_due && (
            <span>
              {t.nextDue} <When at={delivery.next_due} relative />
            </span>
          )}
        </div>
        <Facts delivery={delivery} />
        <section className="panel stack" aria-labelledby="attempts">
          <h2 id="attempts">{t.attempts}</h2>
          <ol className="timeline">
            <li className="info">
              <strong>{texts.events[delivery.event]}</strong> <When at={delivery.created_at} />
              <p className="small dim">{t.began}</p>
            </li>
            {delivery.log.map((attempt) => (
              <AttemptItem key={attempt.attempt} attempt={attempt} isLast={attempt === delivery.log.at(-1)} />
            ))}
            {delivery.next_due && (
              <li className="warn">
                <strong>{t.nextAttempt}</strong> <When at={delivery.next_due} /> <span className="small dim">{texts.deliveries.attemptsOf(delivery.attempts, delivery.max_attempts)}</span>
              </li>
            )}
            {delivery.ended_at && (
              <li className={noticeTone(delivery)}>
                <strong>{texts.states[delivery.state].name}</strong> <When at={delivery.ended_at} />
              </li>
            )}
          </ol>
        </section>
        {isAdmin && open.has(delivery.state) && <Insides id={delivery.id} />}
      </div>
    </Page>
  );
}

function noticeTone(delivery: DeliveryWithLog): Tone {
  return delivery.state === "delivered" ? "ok" : ["failed", "exhausted", "unresolved"].includes(delivery.state) ? "bad" : open.has(delivery.state) ? "info" : "quiet";
}

function Facts({ delivery }: { delivery: DeliveryWithLog }) {
  const rule = useRule(delivery.tracking_api_id);
  return (
    <section className="panel" aria-label={t.facts}>
      <dl className="facts">
        <Fact term={texts.deliveries.columns.rule}>
          <TextLink href={`/rules/${delivery.tracking_api_id}`}>{rule.data?.name ?? delivery.tracking_api_id}</TextLink>
        </Fact>
        <Fact term={texts.deliveries.columns.conversion}>
          <TextLink href={`/explain?conversion=${encodeURIComponent(delivery.conversion_id)}`}>{delivery.conversion_id}</TextLink>
        </Fact>
        <Fact term={texts.deliveries.columns.transaction}>{delivery.transaction_id ?? "–"}</Fact>
        <Fact term={texts.deliveries.columns.result}>{[delivery.result, delivery.payout === null ? null : `${delivery.payout} ${delivery.currency ?? ""}`].filter(Boolean).join(" · ") || "–"}</Fact>
        <Fact term={texts.deliveries.columns.click}>{delivery.click_id ?? "–"}</Fact>
        <Fact term={texts.deliveries.columns.external}>{delivery.external_id ?? "–"}</Fact>
        <Fact term={texts.deliveries.columns.offer}>{delivery.offer_id}</Fact>
        <Fact term={texts.deliveries.columns.affiliate}>{delivery.affiliate_id}</Fact>
        <Fact term={texts.rules.owner}>{ownerName(delivery.owner)}</Fact>
        <Fact term={texts.deliveries.columns.attempts}>{texts.deliveries.attemptsOf(delivery.attempts, delivery.max_attempts)}</Fact>
      </dl>
    </section>
  );
}

const tones: Record<string, Tone> = { delivered: "ok", pending: "warn", retry: "warn", failed: "bad" };

function AttemptItem({ attempt, isLast }: { attempt: Attempt; isLast: boolean }) {
  const tone = tones[attempt.verdict] ?? "quiet";
  return (
    <li className={tone}>
      <details open={isLast}>
        <summary>
          <strong>{texts.schedule.attempt(attempt.attempt)}</strong> <When at={attempt.at} /> <Badge tone={tone}>{texts.verdicts[attempt.verdict] ?? attempt.verdict}</Badge>{" "}
          <span className="small dim">
            {attempt.status === null ? texts.trial.noStatus : texts.trial.status(attempt.status)}, {millis(attempt.duration_ms)}
          </span>
        </summary>
        <div className="stack tight sub">
          <RequestView request={attempt.request} />
          {attempt.error && <p className="notice bad break">{attempt.error}</p>}
          {attempt.answer !== null && attempt.answer !== "" ? (
            <pre className="code" tabIndex={0} aria-label={texts.trial.answer}>
              {attempt.answer}
            </pre>
          ) : (
            <p className="small dim">{t.noAnswer}</p>
          )}
        </div>
      </details>
    </li>
  );
}

function Acts({ delivery }: { delivery: DeliveryWithLog }) {
  const { ask, notify } = useFeedback();
  const refresh = useRefresh();
  const isOpen = delivery.state === "waiting" || delivery.state === "held";
  const forced = useRef(false);
  const resend = async () => {
    await content(api.POST("/deliveries/{id}/resend", { params: { path: { id: delivery.id } }, body: { force: forced.current } }));
    notify(t.resent);
    await refresh("delivery", "deliveries");
  };
  const cancel = async () => {
    await content(api.POST("/deliveries/{id}/cancel", { params: { path: { id: delivery.id } } }));
    notify(t.cancelled);
    await refresh("delivery", "deliveries");
  };
  return (
    <>
      <Button disabled={delivery.state === "sending"} onClick={() => ask({ title: t.resendTitle, text: <ResendText count={delivery.attempts} choose={forced} />, confirm: t.resend, act: resend })}>
        {t.resend}
      </Button>
      {isOpen && (
        <Button variant="default" onClick={() => ask({ title: t.cancelTitle, text: t.cancelText(delivery.attempts), confirm: t.cancel, danger: true, act: cancel })}>
          {t.cancel}
        </Button>
      )}
      <TextLink href={`/explain?conversion=${encodeURIComponent(delivery.conversion_id)}`}>{t.why}</TextLink>
    </>
  );
}

function ResendText({ count, choose }: { count: number; choose: React.RefObject<boolean> }) {
  const [force, setForce] = useState(false);
  useEffect(() => {
    choose.current = force;
  }, [choose, force]);
  return (
    <div className="stack tight">
      <p>{t.resendText(count)}</p>
      <Checkbox label={t.force} description={t.forceHint} checked={force} onChange={(event) => setForce(event.currentTarget.checked)} />
    </div>
  );
}

/** The reason why an open delivery does not move. For admins. */
function Insides({ id }: { id: string }) {
  const query = useQuery({ queryKey: ["internals", id], queryFn: () => content(api.GET("/deliveries/{id}/internals", { params: { path: { id } } })) });
  return (
    <section className="panel stack" aria-labelledby="insides">
      <h2 id="insides">{t.insides}</h2>
      <Loaded query={query} rows={2}>
        {(internals) => (
          <>
            <p>{internals.why}</p>
            {internals.until && (
              <p>
                {t.until} <When at={internals.until} relative />
              </p>
            )}
            <details>
              <summary className="small">{t.insidesAll}</summary>
              <pre className="code" tabIndex={0} aria-label={t.insidesAll}>
                {JSON.stringify(internals, null, 2)}
              </pre>
            </details>
          </>
        )}
      </Loaded>
    </section>
  );
}
