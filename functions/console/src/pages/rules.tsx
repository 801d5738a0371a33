/** The tables of rules: all Tracking APIs (admins), and the postbacks that affiliates own. */
import { ActionIcon, Button, Checkbox, Menu, Select, Switch, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useEffect, useState } from "react";
import { Link, useSearchParams } from "wouter";
import { api, content } from "../api/client";
import { flat, type RuleFilters, type RuleList, useQuota, useRefresh, useRules, useSession } from "../api/queries";
import type { Rule } from "../api/types";
import { requestsOf } from "../lib/draft";
import { conditionsInWords, flag, hostOf, ownerName } from "../lib/words";
import { texts } from "../texts";
import { Empty, Failure, FilterBox, HealthBadge, Loading, More, Page, When } from "../ui/basics";
import { HealthBar } from "../ui/charts";
import { useFeedback } from "../ui/feedback";
import { Icon } from "../ui/icons";
import { DuplicateDialog } from "./duplicate";

type BulkAction = "activate" | "deactivate" | "pause" | "resume";

const triggers = ["transaction_all", "transaction_created", "transaction_updated", "conversion_all", "conversion_created", "conversion_updated"] as const;

export function RulesPage({ list }: { list: RuleList }) {
  const { role, affiliateId } = useSession();
  const [params] = useSearchParams();
  const filters: RuleFilters = {};
  for (const key of ["owner", "country", "category", "offer", "q", "label"] as const) {
    const value = params.get(key);
    if (value) filters[key] = value;
  }
  const trigger = triggers.find((known) => known === params.get("trigger"));
  if (trigger) filters.trigger = trigger;
  if (params.get("failing") === "true") filters.failing = "true";
  const active = params.get("active");
  if (active === "true" || active === "false") filters.active = active;
  const query = useRules(list, filters);
  const rules = flat<Rule>(query.data?.pages);
  const isFiltered = Object.keys(filters).length > 0;
  const title = list === "tracking-apis" ? texts.rules.trackingApis : texts.rules.postbacks;
  return (
    <Page
      title={title}
      lead={role === "affiliate" ? <QuotaLine id={affiliateId} /> : list === "tracking-apis" ? texts.rules.leadAll : texts.rules.leadPostbacks}
      actions={
        <Button component={Link} href="/rules/new" leftSection={<Icon name="plus" size={16} />}>
          {texts.rules.add}
        </Button>
      }
    >
      <div className="stack">
        <Filters list={list} />
        {query.error && rules.length === 0 ? (
          <Failure error={query.error} retry={() => void query.refetch()} />
        ) : query.isPending ? (
          <Loading rows={6} />
        ) : rules.length === 0 ? (
          <NoRules isFiltered={isFiltered} />
        ) : (
          <RulesTable rules={rules} list={list} />
        )}
        <More query={query} />
      </div>
    </Page>
  );
}

function QuotaLine({ id }: { id: string | null }) {
  const quota = useQuota(id);
  return <>{quota.data ? texts.rules.quota(quota.data.used, quota.data.rules) : texts.rules.leadOwn}</>;
}

function NoRules({ isFiltered }: { isFiltered: boolean }) {
  if (isFiltered) return <Empty title={texts.rules.noMatch}>{texts.rules.noMatchHint}</Empty>;
  return (
    <Empty
      title={texts.rules.none}
      action={
        <Button component={Link} href="/rules/new">
          {texts.rules.chooseReceiver}
        </Button>
      }
    >
      {texts.rules.noneHint}
    </Empty>
  );
}

function Filters({ list }: { list: RuleList }) {
  const { role } = useSession();
  const [params, setParams] = useSearchParams();
  const [typed, setTyped] = useState<Record<string, string>>(() => Object.fromEntries(params));
  const [debounced] = useDebouncedValue(typed, 300);
  useEffect(() => {
    setParams(new URLSearchParams(Object.entries(debounced).filter(([, value]) => value !== "")), { replace: true });
  }, [debounced, setParams]);
  const set = (key: string) => (value: string | null) => setTyped((all) => ({ ...all, [key]: value ?? "" }));
  const field = (key: string, label: string) => <TextInput key={key} label={label} size="sm" value={typed[key] ?? ""} onChange={(event) => set(key)(event.currentTarget.value)} />;
  return (
    <FilterBox>
        {field("q", texts.rules.search)}
        {role === "admin" && field("owner", list === "tracking-apis" ? texts.rules.owner : texts.affiliateId)}
        {field("country", texts.rules.country)}
        {field("category", texts.rules.category)}
        {field("offer", texts.rules.offer)}
        <Select size="sm" label={texts.rules.trigger} clearable value={typed["trigger"] || null} onChange={set("trigger")} data={triggers.map((value) => ({ value, label: texts.triggers[value] }))} clearButtonProps={{ "aria-label": texts.clear }} />
        <Select
          size="sm"
          label={texts.rules.show}
          value={typed["failing"] === "true" ? "failing" : typed["active"] === "true" ? "on" : typed["active"] === "false" ? "off" : "all"}
          allowDeselect={false}
          onChange={(value) => setTyped((all) => ({ ...all, failing: value === "failing" ? "true" : "", active: value === "on" ? "true" : value === "off" ? "false" : "" }))}
          data={[
            { value: "all", label: texts.rules.showAll },
            { value: "failing", label: texts.rules.showFailing },
            { value: "on", label: texts.rules.showOn },
            { value: "off", label: texts.rules.showOff },
          ]}
        />
    </FilterBox>
  );
}

function RulesTable({ rules, list }: { rules: Rule[]; list: RuleList }) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [copied, setCopied] = useState<Rule | null>(null);
  const shown = rules.filter((rule) => chosen.has(rule.id));
  const choose = (id: string, on: boolean) => {
    const next = new Set(chosen);
    if (on) next.add(id);
    else next.delete(id);
    setChosen(next);
  };
  const showsOwner = useSession().role === "admin";
  return (
    <>
      {shown.length > 0 && <Bulk rules={shown} done={() => setChosen(new Set())} />}
      <div className="tableBox" tabIndex={0} role="region" aria-label={texts.table(texts.rules.table)}>
        <table className="table">
          <thead>
            <tr>
              <th scope="col">
                <Checkbox size="xs" aria-label={texts.rules.chooseAll} checked={shown.length === rules.length} indeterminate={shown.length > 0 && shown.length < rules.length} onChange={(event) => setChosen(event.currentTarget.checked ? new Set(rules.map((rule) => rule.id)) : new Set())} />
              </th>
              <th scope="col">{texts.rules.name}</th>
              <th scope="col" className="wide">
                {texts.rules.place}
              </th>
              <th scope="col" className="wide">
                {texts.rules.fires}
              </th>
              {showsOwner && (
                <th scope="col" className="wide">
                  {texts.rules.owner}
                </th>
              )}
              <th scope="col">{texts.rules.health}</th>
              <th scope="col">{texts.rules.on}</th>
              <th scope="col">
                <span className="hidden">{texts.rules.actions}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rules.map((rule) => (
              <RuleRow key={rule.id} rule={rule} showsOwner={showsOwner} chosen={chosen.has(rule.id)} choose={(on) => choose(rule.id, on)} copy={() => setCopied(rule)} />
            ))}
          </tbody>
        </table>
      </div>
      {copied && <DuplicateDialog rule={copied} close={() => setCopied(null)} list={list} />}
    </>
  );
}

interface RowProps {
  rule: Rule;
  showsOwner: boolean;
  chosen: boolean;
  choose: (on: boolean) => void;
  copy: () => void;
}

function RuleRow({ rule, showsOwner, chosen, choose, copy }: RowProps) {
  const words = conditionsInWords(rule);
  return (
    <tr>
      <td>
        <Checkbox size="xs" aria-label={texts.rules.chooseOne(rule.name)} checked={chosen} onChange={(event) => choose(event.currentTarget.checked)} />
      </td>
      <td>
        <div className="cell">
          <Link href={`/rules/${rule.id}`} className="name">
            {rule.name}
          </Link>
          <span className="dim small break">
            {requestsOf(rule).map(({ request }) => `${request.method} ${hostOf(request.url)}`).join(" → ")}
          </span>
          <span className="narrow small">{texts.triggers[rule.trigger]}</span>
          {showsOwner && <span className="narrow small">{ownerName(rule.owner)}</span>}
          {rule.inactive_reason && <span className="small break">⚠ {rule.inactive_reason}</span>}
          {rule.labels && rule.labels.length > 0 && (
            <span className="row">
              {rule.labels.map((label) => (
                <span key={label} className="tag">
                  {label}
                </span>
              ))}
            </span>
          )}
        </div>
      </td>
      <td className="wide">
        <div className="cell">
          <span className="nowrap">
            <span aria-hidden="true">{flag(rule.country)}</span> {rule.country === "global" ? texts.rules.global : rule.country}
          </span>
          {rule.category && <span className="dim small">{rule.category}</span>}
        </div>
      </td>
      <td className="wide">
        <div className="cell">
          <span>{texts.triggers[rule.trigger]}</span>
          <span className="dim small">{words.length > 0 ? words.join("; ") : texts.rules.always}</span>
        </div>
      </td>
      {showsOwner && <td className="wide break">{ownerName(rule.owner)}</td>}
      <td>
        <div className="cell">
          <HealthBadge health={rule.health} />
          <span className="wide">
            <HealthBar health={rule.health} />
          </span>
          {rule.health?.failing_since && (
            <span className="small dim">
              {texts.rules.since} <When at={rule.health.failing_since} relative />
            </span>
          )}
        </div>
      </td>
      <td>
        <ActiveSwitch rule={rule} />
      </td>
      <td>
        <RowMenu rule={rule} copy={copy} />
      </td>
    </tr>
  );
}

/** The switch of a rule. Switching off is asked about: what matches meanwhile is never sent. */
export function ActiveSwitch({ rule, label }: { rule: Rule; label?: string }) {
  const { notify, ask } = useFeedback();
  const refresh = useRefresh();
  const [busy, setBusy] = useState(false);
  const set = async (active: boolean) => {
    setBusy(true);
    try {
      await content(api.PATCH("/tracking-apis/{id}", { params: { path: { id: rule.id }, header: { "If-Match": `"${rule.version}"` } }, body: { active } }));
      await refresh("rules", "rule");
    } finally {
      setBusy(false);
    }
  };
  const change = (on: boolean) => {
    if (on) set(true).catch((error: unknown) => notify(error instanceof Error ? error.message : String(error), "bad"));
    else ask({ title: texts.rules.offTitle(rule.name), text: texts.rules.offText, confirm: texts.rules.offConfirm, danger: true, act: () => set(false) });
  };
  return <Switch size="sm" checked={rule.active} disabled={busy} label={label} aria-label={label ? undefined : texts.rules.switch(rule.name)} onChange={(event) => change(event.currentTarget.checked)} withThumbIndicator={false} />;
}

function RowMenu({ rule, copy }: { rule: Rule; copy: () => void }) {
  const remove = useRemove();
  return (
    <Menu position="bottom-end" transitionProps={{ duration: 0 }} withInitialFocusPlaceholder={false}>
      <Menu.Target>
        <ActionIcon variant="subtle" aria-label={texts.rules.actionsOf(rule.name)}>
          <Icon name="dots" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component={Link} href={`/rules/${rule.id}/edit`}>
          {texts.rules.edit}
        </Menu.Item>
        <Menu.Item onClick={copy}>{texts.rules.duplicate}</Menu.Item>
        <Menu.Item component={Link} href={`/deliveries?tracking_api_id=${rule.id}`}>
          {texts.deliveries.title}
        </Menu.Item>
        <Menu.Item component={Link} href={`/rules/${rule.id}/history`}>
          {texts.history.title}
        </Menu.Item>
        <Menu.Item component={Link} href={`/rules/${rule.id}/repair`}>
          {texts.repair.title}
        </Menu.Item>
        <Menu.Item className="danger" onClick={() => remove(rule)}>
          {texts.rules.remove}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** Deletes a rule after a confirmation, which shows the number of its deliveries of the last day. */
export function useRemove(): (rule: Rule, then?: () => void) => void {
  const { ask, notify } = useFeedback();
  const refresh = useRefresh();
  return (rule, then) => {
    const counts = rule.health?.counts_24h ?? {};
    const count = Object.values(counts).reduce((one, other) => one + other, 0);
    const open = (counts["waiting"] ?? 0) + (counts["held"] ?? 0) + (counts["sending"] ?? 0);
    ask({
      title: texts.rules.removeTitle(rule.name),
      text: texts.rules.removeText(count, open),
      confirm: texts.rules.remove,
      danger: true,
      act: async () => {
        await api.DELETE("/tracking-apis/{id}", { params: { path: { id: rule.id }, header: { "If-Match": `"${rule.version}"` } } });
        notify(texts.rules.removed(rule.name));
        then?.();
        await refresh("rules");
      },
    });
  };
}

function Bulk({ rules, done }: { rules: Rule[]; done: () => void }) {
  const { ask, notify } = useFeedback();
  const refresh = useRefresh();
  const act = async (action: BulkAction) => {
    const answer = await content(api.POST("/tracking-apis/bulk", { body: { ids: rules.map((rule) => rule.id), action } }));
    const failed = answer.results.filter((result) => result.status >= 300);
    await refresh("rules");
    if (failed.length > 0) notify(texts.rules.bulkFailed(failed.length, failed[0]?.detail ?? ""), "bad");
    else notify(texts.rules.bulkDone(answer.results.length));
    done();
  };
  const question = (action: BulkAction) => ask({ title: texts.rules.bulkTitle(action, rules.length), text: texts.rules.bulkText[action], confirm: texts.rules.bulk[action], danger: action === "deactivate", act: () => act(action) });
  return (
    <div className="panel row" role="region" aria-label={texts.rules.bulkLabel}>
      <span className="strong">{texts.rules.chosen(rules.length)}</span>
      {(["activate", "deactivate", "pause", "resume"] as const).map((action) => (
        <Button key={action} size="xs" variant="default" onClick={() => question(action)}>
          {texts.rules.bulk[action]}
        </Button>
      ))}
      <Button size="xs" variant="subtle" onClick={done}>
        {texts.rules.chooseNone}
      </Button>
    </div>
  );
}
