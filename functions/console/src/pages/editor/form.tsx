/** The general form: everything that a rule may say, in the order in which it happens. */
import { Checkbox, MultiSelect, SegmentedControl, Switch } from "@mantine/core";
import { lazy, Suspense } from "react";
import { useSession } from "../../api/queries";
import { texts } from "../../texts";
import { Loading } from "../../ui/basics";
import { AnswerForm } from "./answers";
import { ChoiceField, FieldFault, MacroField, NumberField, Rows, TextField, WordsField } from "./fields";
import { useDraft } from "./state";

const CodeField = lazy(() => import("./codeField"));

const t = texts.editor;
const options = (words: Record<string, string>) => Object.entries(words).map(([value, label]) => ({ value, label }));

export function GeneralForm() {
  return (
    <div className="stack">
      <Basics />
      <Fires />
      <RequestForm />
      <AnswerForm />
      <RetryForm />
      <More />
    </div>
  );
}

export function Basics() {
  const isAdmin = useSession().role === "admin";
  const { at, set, fault } = useDraft();
  return (
    <fieldset className="panel">
      <legend>{t.basics}</legend>
      <TextField pointer="/name" label={t.name} required />
      <Switch label={t.active} description={t.activeHint} checked={at("/active") !== false} onChange={(event) => set("/active", event.currentTarget.checked ? undefined : false)} error={fault("/active")} withThumbIndicator={false} />
      <details>
        <summary>{t.notes}</summary>
        <div className="stack sub">
          <TextField pointer="/description" label={t.description} multiline />
          <WordsField pointer="/labels" label={t.labels} hint={t.labelsHint} />
          {isAdmin && <OwnerField />}
        </div>
      </details>
    </fieldset>
  );
}

/** An admin may make a rule for an affiliate. */
function OwnerField() {
  const { at, set } = useDraft();
  const isAffiliate = at("/owner/kind") === "affiliate";
  return (
    <>
      <Checkbox label={t.forAffiliate} checked={isAffiliate} onChange={(event) => set("/owner", event.currentTarget.checked ? { kind: "affiliate", affiliate_id: "" } : undefined)} />
      {isAffiliate && <TextField pointer="/owner/affiliate_id" label={texts.affiliateId} required />}
    </>
  );
}

export function Fires() {
  const isAdmin = useSession().role === "admin";
  const { at, set, fault } = useDraft();
  const sources = at("/conditions/source");
  const ids = (["advertiser", "integration", "channel", "commission"] as const).map((key) => <WordsField key={key} pointer={`/conditions/${key}`} label={texts.conditions[key].label} placeholder={texts.conditions[key].hint} />);
  return (
    <fieldset className="panel">
      <legend>{t.fires}</legend>
      <ChoiceField pointer="/trigger" label={texts.rules.trigger} options={options(texts.triggers)} fallback="transaction_all" />
      <ResultField />
      <div className="cols">
        <WordsField pointer="/conditions/conversion_type" label={texts.conditions.conversion_type.label} placeholder={texts.conditions.conversion_type.hint} options={["sale", "lead", "click", "view", "custom"]} />
        <MultiSelect
          label={texts.conditions.source.label}
          placeholder={Array.isArray(sources) && sources.length > 0 ? "" : texts.all}
          data={["link", "iframe", "api"]}
          value={Array.isArray(sources) ? sources.map(String) : []}
          onChange={(next) => set("/conditions/source", next.length === 0 ? undefined : next)}
          error={fault("/conditions/source", true)}
        />
        <WordsField pointer="/conditions/included_offers" label={texts.conditions.included_offers.label} placeholder={texts.conditions.included_offers.hint} />
        <WordsField pointer="/conditions/excluded_offers" label={texts.conditions.excluded_offers.label} placeholder={texts.conditions.excluded_offers.hint} />
      </div>
      <details>
        <summary>{t.moreConditions}</summary>
        <div className="cols sub">
          {isAdmin && <WordsField pointer="/conditions/affiliate" label={texts.conditions.affiliate.label} placeholder={texts.conditions.affiliate.hint} />}
          {ids}
        </div>
      </details>
    </fieldset>
  );
}

function ResultField() {
  const { at, set, fault } = useDraft();
  const value = at("/conditions/result");
  const mode = Array.isArray(value) ? "list" : value === "all" ? "all" : "not_chosen";
  return (
    <div className="stack tight" role="group" aria-label={texts.conditions.result.label}>
      <span className="small strong">{texts.conditions.result.label}</span>
      <div className="row">
        <SegmentedControl
          aria-label={texts.conditions.result.label}
          data={options(texts.conditions.result.modes)}
          value={mode}
          onChange={(next) => set("/conditions/result", next === "list" ? ["approved"] : next === "all" ? "all" : undefined)}
          transitionDuration={0}
        />
        {mode === "list" && (
          <Checkbox.Group value={Array.isArray(value) ? value.map(String) : []} onChange={(next) => set("/conditions/result", next)} aria-label={texts.conditions.result.label}>
            <div className="row">
              {["pending", "approved", "rejected"].map((result) => (
                <Checkbox key={result} value={result} label={result} />
              ))}
            </div>
          </Checkbox.Group>
        )}
      </div>
      <span className="small dim">{texts.conditions.result.hint}</span>
      {fault("/conditions/result", true) && <FieldFault text={fault("/conditions/result", true) ?? ""} />}
    </div>
  );
}

function RequestForm() {
  const { at, set, fault } = useDraft();
  const format = String(at("/request/body/format") ?? "none");
  const bodyFault = fault("/request/body") ?? fault("/request/body/format");
  return (
    <fieldset className="panel">
      <legend>{t.request}</legend>
      <div className="rowGrid">
        <ChoiceField pointer="/request/method" label={t.method} options={["GET", "POST", "PUT", "PATCH", "DELETE"].map((value) => ({ value, label: value }))} fallback="GET" />
        <MacroField pointer="/request/url" label={t.url} hint={t.urlHint} required />
      </div>
      <span className="strong">{t.query}</span>
      <Rows pointer="/request/query" label={t.query} add={t.addQuery} fresh={{ name: "", value: "" }}>
        {(pointer, index, remove) => <Pair pointer={pointer} index={index} remove={remove} />}
      </Rows>
      <span className="strong">{t.headers}</span>
      <Rows pointer="/request/headers" label={t.headers} add={t.addHeader} fresh={{ name: "", value: "" }}>
        {(pointer, index, remove) => <Pair pointer={pointer} index={index} remove={remove} />}
      </Rows>
      <div className="stack tight" role="group" aria-label={t.body}>
        <span className="strong">{t.body}</span>
        <div>
          <SegmentedControl size="xs" aria-label={t.body} data={options(t.formats)} value={format} onChange={(next) => set("/request/body", next === "none" ? undefined : next === "raw" ? { format: next, content_type: "application/json", text: "" } : { format: next, fields: at("/request/body/fields") ?? [] })} transitionDuration={0} />
        </div>
        {bodyFault && <FieldFault text={bodyFault} />}
      </div>
      {["json", "form", "multipart"].includes(format) && (
        <Rows pointer="/request/body/fields" label={t.fields} add={t.addField} fresh={{ path: "", value: "" }}>
          {(pointer, index, remove) => (
            <div className="rowGrid four">
              <TextField pointer={`${pointer}/path`} label={t.path(index + 1)} placeholder="lead.items[0].id" isRow />
              <MacroField pointer={`${pointer}/value`} label={t.value(index + 1)} placeholder="{transaction_id}" isRow />
              <ChoiceField pointer={`${pointer}/type`} label={t.type(index + 1)} options={["string", "number", "boolean", "json"].map((value) => ({ value, label: value }))} fallback="string" isRow />
              {remove}
            </div>
          )}
        </Rows>
      )}
      {format === "raw" && (
        <>
          <TextField pointer="/request/body/content_type" label={t.contentType} required />
          <Suspense fallback={<Loading rows={2} />}>
            <CodeField pointer="/request/body/text" label={t.text} />
          </Suspense>
        </>
      )}
    </fieldset>
  );
}

function Pair({ pointer, index, remove }: { pointer: string; index: number; remove: React.ReactNode }) {
  return (
    <div className="rowGrid">
      <TextField pointer={`${pointer}/name`} label={t.pairName(index + 1)} placeholder={t.pairNameHint} isRow />
      <MacroField pointer={`${pointer}/value`} label={t.value(index + 1)} placeholder="{payout}" isRow />
      {remove}
    </div>
  );
}

function RetryForm() {
  return (
    <fieldset className="panel">
      <legend>{t.retry}</legend>
      <div className="cols">
        <NumberField pointer="/retry/max_retries" label={t.maxRetries} placeholder="12" min={0} max={30} />
        <NumberField pointer="/retry/delay_seconds" label={t.delaySeconds} placeholder="60" min={1} max={86_400} />
        <ChoiceField pointer="/retry/backoff" label={t.backoff} options={options(t.backoffs)} fallback="exponential" />
        <NumberField pointer="/retry/max_delay_seconds" label={t.maxDelaySeconds} placeholder="3600" min={1} max={86_400} />
      </div>
    </fieldset>
  );
}

function More() {
  const { at, set } = useDraft();
  const isFinal = at("/delay/mode") === "final";
  return (
    <fieldset className="panel">
      <legend>{t.more}</legend>
      <Checkbox label={t.final} description={t.finalHint} checked={isFinal} onChange={(event) => set("/delay", event.currentTarget.checked ? { mode: "final" } : undefined)} />
      {isFinal && (
        <div className="cols sub">
          <NumberField pointer="/delay/settle_seconds" label={t.settleSeconds} placeholder="0" min={0} max={2_592_000} />
          <NumberField pointer="/delay/max_hold_days" label={t.maxHoldDays} placeholder="120" min={1} max={365} />
          <ChoiceField pointer="/delay/on_expiry" label={t.onExpiry} options={options(t.expiries)} fallback="expire" />
          <Checkbox label={t.corrections} checked={at("/delay/corrections") === true} onChange={(event) => set("/delay/corrections", event.currentTarget.checked ? true : undefined)} />
        </div>
      )}
      <Checkbox label={t.pause} description={t.pauseHint} checked={at("/pause") === true} onChange={(event) => set("/pause", event.currentTarget.checked ? true : undefined)} />
      <div className="cols">
        <NumberField pointer="/request/timeout_seconds" label={t.timeout} placeholder="40" min={1} max={120} />
        <NumberField pointer="/rate_per_second" label={t.rate} placeholder={t.noLimit} min={1} max={1_000} />
      </div>
      <Signing />
    </fieldset>
  );
}

function Signing() {
  const { at, set } = useDraft();
  const signs = at("/signing") !== undefined && at("/signing") !== null;
  return (
    <>
      <Checkbox label={t.signing} description={t.signingHint} checked={signs} onChange={(event) => set("/signing", event.currentTarget.checked ? { secret: "signing" } : undefined)} />
      {signs && (
        <div className="cols sub">
          <TextField pointer="/signing/secret" label={t.signingSecret} required />
          <TextField pointer="/signing/header" label={t.signingHeader} placeholder={t.signingStandard} />
        </div>
      )}
    </>
  );
}
