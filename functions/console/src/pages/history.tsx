/** The versions of a rule: author and changes of each, and the way back to an older one. */
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { api, content } from "../api/client";
import { flat, useRefresh, useRule } from "../api/queries";
import type { HistoryEntry, Rule } from "../api/types";
import { texts } from "../texts";
import { Badge, Failure, LoadedPage, Loading, Page, When } from "../ui/basics";
import { useFeedback } from "../ui/feedback";
import { RuleTabs } from "./rule";

const t = texts.history;

export default function HistoryPage({ id }: { id: string }) {
  return (
    <LoadedPage query={useRule(id)} title={texts.rule.one}>
      {(rule) => <Shown rule={rule} />}
    </LoadedPage>
  );
}

function Shown({ rule }: { rule: Rule }) {
  const query = useInfiniteQuery({
    queryKey: ["history", rule.id],
    queryFn: ({ pageParam }) => content(api.GET("/tracking-apis/{id}/history", { params: { path: { id: rule.id }, query: pageParam === undefined ? {} : { cursor: pageParam } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const entries = flat<HistoryEntry>(query.data?.pages);
  return (
    <Page title={rule.name} lead={t.lead} crumb={{ href: "/", text: texts.back }}>
      <RuleTabs id={rule.id} current="history" />
      {query.isPending ? <Loading /> : query.error ? <Failure error={query.error} /> : null}
      <ol className="timeline">
        {entries.map((entry) => (
          <Entry key={`${entry.version}-${entry.at}`} entry={entry} rule={rule} />
        ))}
      </ol>
      {query.hasNextPage && (
        <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          {texts.loadMore}
        </Button>
      )}
    </Page>
  );
}

function Entry({ entry, rule }: { entry: HistoryEntry; rule: Rule }) {
  const { ask, notify } = useFeedback();
  const refresh = useRefresh();
  const who = entry.by.affiliate_id ?? entry.by.subject ?? texts.admin;
  const isCurrent = entry.version === rule.version;
  const restore = async () => {
    await content(api.POST("/tracking-apis/{id}/history/{version}/restore", { params: { path: { id: rule.id, version: String(entry.version) }, header: { "If-Match": `"${rule.version}"` } } }));
    notify(t.restored(entry.version));
    await refresh("rule", "rules", "history");
  };
  return (
    <li className={isCurrent ? "ok" : ""}>
      <div className="panel stack tight">
        <div className="row apart">
          <div className="row">
            <strong>{t.version(entry.version)}</strong>
            <span>{t.actions[entry.action]}</span>
            {isCurrent && <Badge tone="ok">{t.current}</Badge>}
            {entry.on_behalf && <Badge tone="info">{t.onBehalf}</Badge>}
          </div>
          {!isCurrent && entry.action !== "deleted" && (
            <Button size="xs" variant="default" onClick={() => ask({ title: t.restoreTitle(entry.version), text: t.restoreText(rule.version - entry.version), confirm: t.restore, act: restore })}>
              {t.restore}
            </Button>
          )}
        </div>
        <span className="small dim">
          {t.by(who)} <When at={entry.at} />
        </span>
        {entry.note && <p className="small break">{entry.note}</p>}
        {entry.changes.length > 8 ? (
          <details>
            <summary className="small">{t.changes(entry.changes.length)}</summary>
            <Changes entry={entry} />
          </details>
        ) : (
          entry.changes.length > 0 && <Changes entry={entry} />
        )}
      </div>
    </li>
  );
}

/** The differences to the version before. */
function Changes({ entry }: { entry: HistoryEntry }) {
  return (
    <table className="diff">
      <thead>
        <tr>
          <th scope="col">{t.place}</th>
          <th scope="col">{t.before}</th>
          <th scope="col">{t.after}</th>
        </tr>
      </thead>
      <tbody>
        {entry.changes.map((change) => (
          <tr key={change.pointer}>
            <th scope="row" className="mono">
              {change.pointer === "" ? "/" : change.pointer}
            </th>
            <td className="mono">{change.from === null || change.from === undefined ? "–" : <del>{shown(change.from)}</del>}</td>
            <td className="mono">{change.to === null || change.to === undefined ? "–" : <ins>{shown(change.to)}</ins>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 1);
}
