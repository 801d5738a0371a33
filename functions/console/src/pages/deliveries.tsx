/** The log of deliveries: searched, filtered, in the columns that the reader wants, and as CSV. */
import { Button, Checkbox, MultiSelect, Popover, TextInput } from "@mantine/core";
import { useDebouncedValue, useLocalStorage } from "@mantine/hooks";
import { useEffect, useState } from "react";
import { useSearchParams } from "wouter";
import { ask } from "../api/client";
import { type DeliveryFilters, flat, useDeliveries, useRefresh, useSession } from "../api/queries";
import type { Delivery, State } from "../api/types";
import { fromLocal, toLocal } from "../lib/time";
import { texts } from "../texts";
import { Empty, Failure, FilterBox, Loading, More, Page } from "../ui/basics";
import { useFeedback } from "../ui/feedback";
import { Icon } from "../ui/icons";
import { type Column, columns, DeliveriesTable } from "./deliveryTable";

const t = texts.deliveries;
const words = ["conversion_id", "transaction_id", "click_id", "external_id", "offer_id", "affiliate_id", "tracking_api_id"] as const;
const states = Object.keys(texts.states) as State[];

function filtersOf(params: URLSearchParams): DeliveryFilters {
  const filters: Record<string, unknown> = {};
  for (const key of [...words, "from", "to"]) if (params.get(key)) filters[key] = params.get(key);
  const status = Number(params.get("http_status"));
  if (Number.isInteger(status) && status > 0) filters["http_status"] = status;
  const chosen = params.getAll("state").filter((state) => state in texts.states);
  if (chosen.length > 0) filters["state"] = chosen;
  return filters as DeliveryFilters;
}

/** The most lines of an export: spreadsheets open this number without trouble. */
const MAX_LINES = 10_000;

export default function DeliveriesPage() {
  const [params] = useSearchParams();
  const filters = filtersOf(params);
  const query = useDeliveries(filters);
  const refresh = useRefresh();
  const deliveries = flat<Delivery>(query.data?.pages);
  const [chosen, setChosen] = useLocalStorage<Column[]>({ key: "tracking-console-columns", defaultValue: ["rule", "conversion", "transaction", "result", "http", "reason"], getInitialValueInEffect: false });
  return (
    <Page
      title={t.title}
      lead={t.lead}
      actions={
        <>
          <Button variant="default" leftSection={<Icon name="replay" size={16} />} onClick={() => void refresh("deliveries")}>
            {t.refresh}
          </Button>
          <ColumnChoice chosen={chosen} choose={setChosen} />
          <Export params={params} />
        </>
      }
    >
      <div className="stack">
        <Filters />
        {query.error && deliveries.length === 0 ? (
          <Failure error={query.error} retry={() => void query.refetch()} />
        ) : query.isPending ? (
          <Loading rows={8} />
        ) : deliveries.length === 0 ? (
          <Empty title={Object.keys(filters).length > 0 ? t.noMatch : t.none}>{Object.keys(filters).length > 0 ? t.noMatchHint : t.noneHint}</Empty>
        ) : (
          <DeliveriesTable deliveries={deliveries} columns={columns.filter((column) => chosen.includes(column))} />
        )}
        <More query={query} />
      </div>
    </Page>
  );
}

function Filters() {
  const isAdmin = useSession().role === "admin";
  const [params, setParams] = useSearchParams();
  const [typed, setTyped] = useState<Record<string, string>>(() => Object.fromEntries([...words, "http_status", "from", "to"].map((key) => [key, params.get(key) ?? ""])));
  const [chosen, setChosen] = useState<string[]>(() => params.getAll("state"));
  const [debounced] = useDebouncedValue(typed, 350);
  useEffect(() => {
    const entries = Object.entries(debounced).filter(([, value]) => value.trim() !== "");
    setParams(new URLSearchParams([...entries.map(([key, value]) => [key, value.trim()]), ...chosen.map((state) => ["state", state])]), { replace: true });
  }, [debounced, chosen, setParams]);
  const set = (key: string, value: string) => setTyped((all) => ({ ...all, [key]: value }));
  const shown = words.filter((key) => isAdmin || key !== "affiliate_id");
  return (
    <FilterBox>
        {shown.map((key) => (
          <TextInput key={key} size="sm" label={t.filters[key]} value={typed[key] ?? ""} onChange={(event) => set(key, event.currentTarget.value)} />
        ))}
        <MultiSelect size="sm" label={t.state} placeholder={chosen.length === 0 ? texts.all : ""} data={states} value={chosen} onChange={setChosen} clearable clearButtonProps={{ "aria-label": texts.clear }} />
        <TextInput size="sm" label={t.filters.http_status} inputMode="numeric" value={typed["http_status"] ?? ""} onChange={(event) => set("http_status", event.currentTarget.value.replaceAll(/\D/g, ""))} />
        {(["from", "to"] as const).map((key) => (
          <TextInput key={key} size="sm" type="datetime-local" label={t.filters[key]} value={typed[key] ? toLocal(new Date(typed[key])) : ""} onChange={(event) => set(key, fromLocal(event.currentTarget.value) ?? "")} />
        ))}
    </FilterBox>
  );
}

function ColumnChoice({ chosen, choose }: { chosen: Column[]; choose: (columns: Column[]) => void }) {
  return (
    <Popover position="bottom-end" withinPortal trapFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <Button variant="default" leftSection={<Icon name="columns" size={16} />}>
          {t.chooseColumns}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={t.chooseColumns}>
        <div className="stack tight">
          {columns.map((column) => (
            <Checkbox key={column} size="sm" label={t.columns[column]} checked={chosen.includes(column)} onChange={(event) => choose(event.currentTarget.checked ? [...chosen, column] : chosen.filter((one) => one !== column))} />
          ))}
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}

/** Reads the list as CSV, page by page, and hands it over as a file. */
function Export({ params }: { params: URLSearchParams }) {
  const { notify } = useFeedback();
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const { text, lines, isCut } = await csv(params);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      link.download = `deliveries-${new Date().toISOString().slice(0, 10)}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      notify(isCut ? t.exportCut(lines) : t.exported(lines));
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error), "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button variant="default" loading={busy} leftSection={<Icon name="download" size={16} />} onClick={() => void save()}>
      {t.csv}
    </Button>
  );
}

async function csv(params: URLSearchParams): Promise<{ text: string; lines: number; isCut: boolean }> {
  const query = new URLSearchParams(params);
  query.set("limit", "1000");
  let next: string | null = `/deliveries?${query}`;
  let text = "";
  let lines = 0;
  while (next !== null && lines < MAX_LINES) {
    const answer: Response = await ask(next, "text/csv");
    const page = await answer.text();
    const body = text === "" ? page : page.slice(page.indexOf("\n") + 1);
    // Lines within quoted texts are not counted: this is a number for people.
    lines += Math.max(0, page.split("\n").filter((line) => line.trim() !== "").length - 1);
    text += body;
    next = /<([^>]+)>;\s*rel="?next"?/.exec(answer.headers.get("link") ?? "")?.[1] ?? null;
  }
  return { text, lines, isCut: next !== null };
}
