/** The editor: a preset's few fields or the general form, beside it the live preview, above both the faults of the last try to save. */
import { Button, PasswordInput, SegmentedControl, TextInput } from "@mantine/core";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useLocation } from "wouter";
import { ApiFault, api, content } from "../../api/client";
import { usePresets, useRefresh, useRule } from "../../api/queries";
import type { Preset, Rule } from "../../api/types";
import { draftOf, emptyDraft, secretsOf } from "../../lib/draft";
import { texts } from "../../texts";
import { Failure, LoadedPage, Loading, Page, TextLink } from "../../ui/basics";
import { useFeedback } from "../../ui/feedback";
import { Basics, Fires, GeneralForm } from "./form";
import { Preview } from "./preview";
import { DraftProvider, useDraft, whole } from "./state";

const JsonView = lazy(() => import("./json"));
const t = texts.editor;

export default function EditorPage({ presetId, ruleId }: { presetId?: string; ruleId?: string }) {
  if (ruleId !== undefined) return <ExistingRule id={ruleId} />;
  if (presetId === "blank" || presetId === undefined) {
    return (
      <DraftProvider initial={emptyDraft} fields={[]}>
        <Editor />
      </DraftProvider>
    );
  }
  return <FromPreset id={presetId} />;
}

function FromPreset({ id }: { id: string }) {
  return (
    <LoadedPage query={usePresets()} title={t.create}>
      {({ items }) => {
        const preset = items.find((one) => one.id === id);
        if (!preset) return <Page title={texts.errors.notFound}>{t.noPreset}</Page>;
        return (
          <DraftProvider initial={preset.tracking_api} fields={preset.fill_in}>
            <Editor preset={preset} />
          </DraftProvider>
        );
      }}
    </LoadedPage>
  );
}

function ExistingRule({ id }: { id: string }) {
  const query = useRule(id);
  // The version that the form began with: a newer version that is read meanwhile must not replace it.
  const first = useRef<Rule | null>(null);
  if (first.current === null && query.data && !query.isFetching) first.current = query.data;
  const rule = first.current;
  if (!rule) {
    const { error, refetch } = query;
    return (
      <LoadedPage query={{ data: undefined, error, refetch }} title={texts.rule.one}>
        {() => null}
      </LoadedPage>
    );
  }
  return (
    <DraftProvider key={rule.version} initial={draftOf(rule)} fields={[]}>
      <Editor rule={rule} />
    </DraftProvider>
  );
}

type View = "simple" | "form" | "json";

function Editor({ preset, rule }: { preset?: Preset; rule?: Rule }) {
  const state = useDraft();
  // The form is about one request; a rule with steps is written as JSON, or by a preset's fields.
  const hasSteps = "steps" in state.draft;
  const [chosen, setView] = useState<View>(preset ? "simple" : "form");
  const offered: View[] = [...(preset ? (["simple"] as const) : []), ...(hasSteps ? [] : (["form"] as const)), "json"];
  const view = offered.includes(chosen) ? chosen : "json";
  const views = offered.map((value) => ({ value, label: t.views[value] }));
  useWarning(state.isChanged);
  const title = rule ? t.edit(rule.name) : preset ? (preset.kind === "flow" ? t.fromFlow : t.fromPreset)(preset.name) : t.create;
  return (
    <Page title={title} crumb={rule ? { href: `/rules/${rule.id}`, text: rule.name } : { href: "/rules/new", text: texts.gallery.title }} actions={<SegmentedControl aria-label={t.view} data={views} value={view} onChange={(next) => setView(next as View)} transitionDuration={0} />}>
      <div className="split">
        <Form view={view} preset={preset} rule={rule} />
        <aside className="beside" aria-label={t.preview.title} tabIndex={0}>
          <Preview saved={rule} />
        </aside>
      </div>
    </Page>
  );
}

/** Asks before a changed draft is left by closing the tab or reloading. */
function useWarning(isChanged: boolean) {
  useEffect(() => {
    if (!isChanged) return undefined;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [isChanged]);
}

function Form({ view, preset, rule }: { view: View; preset: Preset | undefined; rule: Rule | undefined }) {
  const form = useRef<HTMLFormElement>(null);
  const { save, busy, error } = useSave(rule);
  const submit = async (event: React.FormEvent) => {
    event.preventDefault();
    if (!(await save())) requestAnimationFrame(() => focusFault(form.current));
  };
  return (
    <form ref={form} className="stack" onSubmit={(event) => void submit(event)} noValidate aria-label={t.form}>
      {error !== null && <SaveFault error={error} rule={rule} />}
      {view === "simple" && preset && <PresetForm preset={preset} />}
      {view === "form" && <GeneralForm />}
      {view === "json" && (
        <Suspense fallback={<Loading />}>
          <JsonView />
        </Suspense>
      )}
      <Secrets saved={rule?.secrets ?? []} />
      <div className="actions">
        <Button type="submit" loading={busy}>
          {rule ? t.save : t.saveNew}
        </Button>
        <TextLink href={rule ? `/rules/${rule.id}` : "/"}>{texts.cancel}</TextLink>
      </div>
    </form>
  );
}

/** Puts the focus on the first field with a fault, or on the list of faults. */
function focusFault(form: HTMLFormElement | null) {
  const field = form?.querySelector<HTMLElement>('[aria-invalid="true"], [data-error="true"] input, .notice.bad');
  field?.focus();
  field?.scrollIntoView({ block: "center" });
}

function useSave(rule: Rule | undefined) {
  const state = useDraft();
  const [, go] = useLocation();
  const { notify } = useFeedback();
  const refresh = useRefresh();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const write = (): Promise<Rule> => {
    const body = whole(state);
    if (!rule) return content(api.POST("/tracking-apis", { body }));
    return content(api.PUT("/tracking-apis/{id}", { params: { path: { id: rule.id }, header: { "If-Match": `"${rule.version}"` } }, body }));
  };
  const save = async (): Promise<boolean> => {
    setBusy(true);
    setError(null);
    state.setFaults([]);
    try {
      const saved = await write();
      await refresh("rules", "rule", "history", "quota");
      notify(saved.inactive_reason ? t.savedInactive(saved.inactive_reason) : t.saved(saved.name));
      go(`/rules/${saved.id}`);
      return true;
    } catch (fault) {
      setError(fault);
      if (fault instanceof ApiFault) state.setFaults(fault.faults);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { save, busy, error };
}

function SaveFault({ error, rule }: { error: unknown; rule: Rule | undefined }) {
  const isStale = error instanceof ApiFault && error.status === 412;
  if (!isStale) return <div tabIndex={-1}><Failure error={error} /></div>;
  return (
    <div className="notice bad" role="alert" tabIndex={-1}>
      <strong>{t.stale}</strong>
      <span>{t.staleHint}</span>
      <div>
        <Button size="xs" variant="default" onClick={() => window.location.assign(`/console/rules/${rule?.id ?? ""}/edit`)}>
          {t.reload}
        </Button>
      </div>
    </div>
  );
}

/** A preset's own fields, and the few of the rule's that people decide. */
function PresetForm({ preset }: { preset: Preset }) {
  const { fields, fills, fill, fault } = useDraft();
  return (
    <>
      <fieldset className="panel">
        <legend>{preset.name}</legend>
        <p className="small">{preset.description}</p>
        <p className="small">
          {t.documentation} <span className="mono break">{preset.documentation}</span>
        </p>
        {fields.map((field) => (
          <TextInput
            key={field.placeholder}
            label={field.name}
            description={field.description}
            placeholder={field.example}
            value={fills[field.placeholder] ?? ""}
            onChange={(event) => fill(field.placeholder, event.currentTarget.value)}
            error={fault(field.pointer, true)}
            autoComplete="off"
            spellCheck={false}
          />
        ))}
        {fields.length === 0 && <p className="small dim">{t.nothingToFill}</p>}
        {preset.kind === "flow" && <p className="small dim">{t.stepsAsJson}</p>}
      </fieldset>
      <Basics />
      <Fires />
    </>
  );
}

/** Values of the secrets that the draft names: written here, shown nowhere. */
function Secrets({ saved }: { saved: readonly string[] }) {
  const { draft, secrets, setSecret, fault } = useDraft();
  const names = secretsOf(draft);
  return (
    <fieldset className="panel">
      <legend>{t.secrets}</legend>
      <p className="small dim">{names.length === 0 ? t.noSecrets : t.secretsHint}</p>
      {names.map((name) => (
        <PasswordInput
          key={name}
          label={name}
          placeholder={saved.includes(name) ? t.secretSaved : t.secretMissing}
          value={secrets[name] ?? ""}
          onChange={(event) => setSecret(name, event.currentTarget.value)}
          error={fault(`/secret_values/${name}`)}
          autoComplete="new-password"
          visibilityToggleButtonProps={{ "aria-label": t.showSecret(name) }}
        />
      ))}
    </fieldset>
  );
}
