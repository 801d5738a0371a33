/** Events that could not be read, each with its faults; mended or not, they can be taken again. For admins. */
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { api, content } from "../api/client";
import { flat, paged, useRefresh } from "../api/queries";
import type { Event, Rejected } from "../api/types";
import { texts } from "../texts";
import { Empty, Failure, Loading, More, Page, When } from "../ui/basics";
import { useFeedback } from "../ui/feedback";

const CodeEditor = lazy(() => import("../ui/code"));
const t = texts.rejected;

export default function RejectedPage() {
  const query = useInfiniteQuery({
    queryKey: ["rejected"],
    queryFn: ({ pageParam }) => content(api.GET("/events/rejected", { params: { query: { limit: 20, ...(pageParam === undefined ? {} : { cursor: pageParam }) } } })),
    ...paged,
  });
  const items = flat<Rejected>(query.data?.pages);
  return (
    <Page title={t.title} lead={t.lead}>
      {query.isPending ? <Loading /> : query.error ? <Failure error={query.error} retry={() => void query.refetch()} /> : items.length === 0 ? <Empty title={t.none}>{t.noneHint}</Empty> : null}
      <div className="stack">
        {items.map((item) => (
          <Item key={item.id} item={item} />
        ))}
        <More query={query} />
      </div>
    </Page>
  );
}

/** The text of a rejected event; the API keeps it as it came. */
function textOf(item: Rejected): string {
  const event: unknown = item.event;
  if (typeof event !== "string") return JSON.stringify(event, null, 2);
  try {
    return JSON.stringify(JSON.parse(event), null, 2);
  } catch {
    return event;
  }
}

function Item({ item }: { item: Rejected }) {
  const original = textOf(item);
  const [text, setText] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const { ask, notify } = useFeedback();
  const refresh = useRefresh();
  const submit = async () => {
    const mended = text !== null && text !== original ? { event: JSON.parse(text) as Event } : {};
    const answer = await content(api.POST("/events/rejected/{id}/resubmit", { params: { path: { id: item.id } }, body: mended }));
    notify(t.done(answer.accepted));
    await refresh("rejected", "deliveries");
  };
  const question = () => {
    setError(null);
    try {
      if (text !== null) JSON.parse(text);
    } catch (fault) {
      setError(fault);
      return;
    }
    ask({ title: t.question, text: text !== null && text !== original ? t.questionMended : t.questionSame, confirm: t.resubmit, act: submit });
  };
  return (
    <section className="panel stack tight" aria-label={item.id}>
      <div className="row apart">
        <strong>
          <When at={item.received_at} />
        </strong>
        <div className="row">
          {!item.cut && (
            <Button size="xs" variant="default" aria-expanded={text !== null} onClick={() => setText(text === null ? original : null)}>
              {text === null ? t.mend : t.leave}
            </Button>
          )}
          <Button size="xs" disabled={item.cut && text === null} onClick={question}>
            {t.resubmit}
          </Button>
        </div>
      </div>
      <ul className="small">
        {item.errors.map((fault) => (
          <li key={fault.pointer + fault.detail} className="break">
            <code>{fault.pointer === "" ? "/" : fault.pointer}</code> {fault.detail}
          </li>
        ))}
      </ul>
      {item.cut && <p className="small dim">{t.cut}</p>}
      {error !== null && <Failure error={error} />}
      {text === null ? (
        <details>
          <summary className="small">{t.event}</summary>
          <pre className="code" tabIndex={0} aria-label={t.event}>
            {original}
          </pre>
        </details>
      ) : (
        <Suspense fallback={<Loading rows={2} />}>
          <CodeEditor label={t.event} language="json" value={text} change={setText} />
        </Suspense>
      )}
    </section>
  );
}
