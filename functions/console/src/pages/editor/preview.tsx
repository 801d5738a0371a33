/** The live preview: what the draft would send for an event, why it would or would not, and what follows if it fails. */
import { Button, SegmentedControl, Select } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { ApiFault, api, content } from "../../api/client";
import { flat, useDeliveries } from "../../api/queries";
import type { Delivery, Event, NewRule, Rule, Trial } from "../../api/types";
import { eventOf } from "../../lib/event";
import { texts } from "../../texts";
import { Failure, Loading } from "../../ui/basics";
import { TrialResult } from "../trial";
import { useDraft, whole } from "./state";

const CodeEditor = lazy(() => import("../../ui/code"));
const t = texts.editor.preview;

/** The prefix of pointers into the body of a preview. */
const PREFIX = "/tracking_api";

type Preview = { trial: Trial } | { fault: ApiFault };

/** The preview of a draft: faults of the rule are a result too. */
function usePreview(rule: NewRule, event: Event | null) {
  return useQuery({
    queryKey: ["preview", rule, event],
    queryFn: async (): Promise<Preview> => {
      try {
        return { trial: await content(api.POST("/tracking-apis/preview", { body: { tracking_api: rule, ...(event ? { event } : {}) } })) };
      } catch (error) {
        if (error instanceof ApiFault && (error.status === 422 || error.status === 400)) return { fault: error };
        throw error;
      }
    },
    placeholderData: keepPreviousData,
  });
}

/** The draft with something in place of the secrets that are saved: a preview masks values, and knows those of no saved rule. */
function withSaved(rule: NewRule, saved: readonly string[]): NewRule {
  if (saved.length === 0) return rule;
  return { ...rule, secret_values: { ...Object.fromEntries(saved.map((name) => [name, "saved"])), ...rule.secret_values } };
}

export function Preview({ saved }: { saved: Rule | undefined }) {
  const state = useDraft();
  const [event, setEvent] = useState<Event | null>(null);
  const [rule] = useDebouncedValue(withSaved(whole(state), saved?.secrets ?? []), 350);
  const query = usePreview(rule, event);
  return (
    <div className="stack">
      <section className="panel stack" aria-label={t.title}>
        <div className="panelHead">
          <h2>{t.title}</h2>
          {query.isFetching && <span className="small dim">{t.updating}</span>}
        </div>
        <EventChoice choose={setEvent} ruleId={saved?.id} />
        {query.error ? (
          <Failure error={query.error} retry={() => void query.refetch()} />
        ) : !query.data ? (
          <Loading />
        ) : "fault" in query.data ? (
          <Faults fault={query.data.fault} />
        ) : (
          <TrialResult trial={query.data.trial} rule={rule} />
        )}
      </section>
    </div>
  );
}

function Faults({ fault }: { fault: ApiFault }) {
  const { setFaults } = useDraft();
  const faults = fault.faults.map((one) => ({ ...one, pointer: one.pointer.startsWith(PREFIX) ? one.pointer.slice(PREFIX.length) : one.pointer }));
  return (
    <div className="notice warn">
      <strong>{t.faults(Math.max(1, faults.length))}</strong>
      {faults.length === 0 && <span className="break">{fault.message}</span>}
      <ul>
        {faults.map((one) => (
          <li key={one.pointer + one.detail} className="break small">
            <code>{one.pointer === "" ? "/" : one.pointer}</code> {one.detail}
          </li>
        ))}
      </ul>
      {faults.length > 0 && (
        <div>
          <Button size="compact-sm" variant="default" onClick={() => setFaults(faults)}>
            {t.showFaults}
          </Button>
        </div>
      )}
    </div>
  );
}

type Choice = "sample" | "delivery" | "json";

/** The choice of the event for the preview. */
export function EventChoice({ choose, ruleId }: { choose: (event: Event | null) => void; ruleId?: string | undefined }) {
  const [choice, setChoice] = useState<Choice>("sample");
  const [text, setText] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const write = (next: string) => {
    setText(next);
    if (next.trim() === "") {
      setFault(null);
      choose(null);
      return;
    }
    try {
      choose(JSON.parse(next) as Event);
      setFault(null);
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  };
  const pick = (next: string) => {
    setChoice(next as Choice);
    if (next === "sample") choose(null);
    else write(text);
  };
  return (
    <div className="stack tight" role="group" aria-label={t.event}>
      <SegmentedControl size="xs" fullWidth aria-label={t.event} data={(["sample", "delivery", "json"] as const).map((value) => ({ value, label: t.events[value] }))} value={choice} onChange={pick} transitionDuration={0} />
      {choice === "delivery" && <DeliveryChoice ruleId={ruleId} choose={(delivery) => write(JSON.stringify(eventOf(delivery), null, 2))} />}
      {choice !== "sample" && (choice === "json" || text !== "") && (
        <Suspense fallback={<Loading rows={2} />}>
          <CodeEditor label={t.eventJson} language="json" value={text} change={write} />
        </Suspense>
      )}
      {fault !== null && (
        <p className="small badge bad" role="alert">
          {fault}
        </p>
      )}
    </div>
  );
}

function DeliveryChoice({ choose }: { choose: (delivery: Delivery) => void; ruleId?: string | undefined }) {
  const query = useDeliveries({}, 20);
  const deliveries = flat<Delivery>(query.data?.pages);
  const conversions = [...new Map(deliveries.map((delivery) => [`${delivery.conversion_id} ${delivery.transaction_id ?? ""}`, delivery])).values()];
  if (query.isPending) return <Loading rows={1} />;
  if (conversions.length === 0) return <p className="small dim">{t.noDeliveries}</p>;
  return (
    <Select
      label={t.conversion}
      description={t.conversionHint}
      searchable
      data={conversions.map((delivery) => ({ value: delivery.id, label: [delivery.conversion_id, delivery.transaction_id, delivery.result, delivery.payout && `${delivery.payout} ${delivery.currency ?? ""}`].filter(Boolean).join(" · ") }))}
      onChange={(id) => {
        const found = conversions.find((delivery) => delivery.id === id);
        if (found) choose(found);
      }}
    />
  );
}
