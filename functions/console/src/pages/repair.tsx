/** Replay and backfill of a rule: choose a period, count its deliveries, begin. */
import { Button, Checkbox, MultiSelect, SegmentedControl, TextInput } from "@mantine/core";
import { useState } from "react";
import { api, content } from "../api/client";
import { useRefresh, useRule } from "../api/queries";
import type { Rule } from "../api/types";
import { duration, fromLocal, toLocal } from "../lib/time";
import { texts } from "../texts";
import { Failure, LoadedPage, Page } from "../ui/basics";
import { useFeedback } from "../ui/feedback";
import { Runs } from "./replays";
import { RuleTabs } from "./rule";

const t = texts.repair;
const endings = ["failed", "exhausted", "unresolved", "expired", "delivered", "superseded", "cancelled", "skipped"] as const;
type Ending = (typeof endings)[number];

export default function RepairPage({ id }: { id: string }) {
  return (
    <LoadedPage query={useRule(id)} title={texts.rule.one}>
      {(rule) => (
        <Page title={rule.name} lead={t.lead} crumb={{ href: "/", text: texts.back }}>
          <RuleTabs id={rule.id} current="repair" />
          <div className="stack">
            <Begin rule={rule} />
            <Runs ruleId={rule.id} />
          </div>
        </Page>
      )}
    </LoadedPage>
  );
}

interface Counted {
  deliveries: number;
  complete: boolean;
  perSecond: number;
  details: string[];
}

function Begin({ rule }: { rule: Rule }) {
  const [kind, setKind] = useState<"replay" | "backfill">("replay");
  const [from, setFrom] = useState(() => toLocal(new Date(Date.now() - 86_400_000)));
  const [to, setTo] = useState(() => toLocal(new Date(Date.now() + 60_000)));
  const [states, setStates] = useState<Ending[]>(["failed", "exhausted", "unresolved"]);
  const [force, setForce] = useState(false);
  const [counted, setCounted] = useState<Counted | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const { ask, notify } = useFeedback();
  const refresh = useRefresh();
  const forget =
    <T,>(set: (value: T) => void) =>
    (value: T) => {
      setCounted(null);
      setError(null);
      set(value);
    };
  const run = async (dry_run: boolean): Promise<Counted> => {
    const [begin, end] = [fromLocal(from), fromLocal(to)];
    if (begin === null || end === null) throw new Error(t.noPeriod);
    const params = { path: { id: rule.id } };
    if (kind === "replay") {
      const answer = await content(api.POST("/tracking-apis/{id}/replay", { params, body: { from: begin, to: end, states, force, dry_run } }));
      const details = Object.entries(answer.states).map(([state, number]) => `${number} ${state}`);
      if (answer.skipped > 0) details.push(t.skipped(answer.skipped));
      return { deliveries: answer.deliveries, complete: answer.complete, perSecond: answer.per_second, details };
    }
    const answer = await content(api.POST("/tracking-apis/{id}/backfill", { params, body: { from: begin, to: end, dry_run } }));
    return { deliveries: answer.deliveries + answer.held, complete: answer.complete, perSecond: answer.per_second, details: [t.eventsRead(answer.events), t.already(answer.already), t.held(answer.held)] };
  };
  const count = async (event: React.FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      setCounted(await run(true));
    } catch (fault) {
      setCounted(null);
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  const begin = (number: Counted) =>
    ask({
      title: t.beginTitle(kind, number.deliveries, number.complete),
      text: t.beginText(duration(number.deliveries / Math.max(1, number.perSecond))),
      confirm: t.begin,
      act: async () => {
        await run(false);
        setCounted(null);
        notify(t.begun);
        await refresh("replays", "deliveries");
      },
    });
  return (
    <form className="panel stack" onSubmit={(event) => void count(event)}>
      <div>
        <SegmentedControl aria-label={t.kind} data={[{ value: "replay", label: t.replay }, { value: "backfill", label: t.backfill }]} value={kind} onChange={forget((value: string) => setKind(value as typeof kind))} transitionDuration={0} />
      </div>
      <p className="small dim">{kind === "replay" ? t.replayHint : t.backfillHint}</p>
      <div className="cols">
        <TextInput type="datetime-local" label={texts.deliveries.filters.from} value={from} onChange={(event) => forget(setFrom)(event.currentTarget.value)} required />
        <TextInput type="datetime-local" label={texts.deliveries.filters.to} value={to} onChange={(event) => forget(setTo)(event.currentTarget.value)} required />
        {kind === "replay" && <MultiSelect label={t.states} data={[...endings]} value={states} onChange={forget((value: string[]) => setStates(value as Ending[]))} />}
      </div>
      {kind === "replay" && <Checkbox label={texts.delivery.force} description={texts.delivery.forceHint} checked={force} onChange={(event) => forget(setForce)(event.currentTarget.checked)} />}
      <div className="row">
        <Button type="submit" variant={counted ? "default" : "filled"} loading={busy}>
          {t.count}
        </Button>
        {counted && (
          <Button disabled={counted.deliveries === 0} onClick={() => begin(counted)}>
            {t.beginCount(counted.deliveries, counted.complete)}
          </Button>
        )}
      </div>
      <div aria-live="polite">
        {error !== null && <Failure error={error} />}
        {counted && (
          <div className="notice info">
            <strong>{t.counted(counted.deliveries, counted.complete)}</strong>
            <span>{counted.details.join(", ")}</span>
          </div>
        )}
      </div>
    </form>
  );
}
