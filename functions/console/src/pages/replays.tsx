/** Replays and backfills: their progress, and stopping them. */
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { api, content } from "../api/client";
import { flat, paged, useRefresh, useRuleNames } from "../api/queries";
import type { ReplayRun } from "../api/types";
import { texts } from "../texts";
import { Badge, Empty, Failure, Loading, More, Page, TextLink, When } from "../ui/basics";
import { useFeedback } from "../ui/feedback";

const t = texts.replays;

export default function ReplaysPage() {
  return (
    <Page title={t.title} lead={t.lead}>
      <Runs />
    </Page>
  );
}

/** The runs of all rules, or of one. */
export function Runs({ ruleId }: { ruleId?: string }) {
  const query = useInfiniteQuery({
    queryKey: ["replays"],
    queryFn: ({ pageParam }) => content(api.GET("/replays", { params: { query: pageParam === undefined ? {} : { cursor: pageParam } } })),
    ...paged,
    refetchInterval: (state) => (state.state.data?.pages.some((page) => page.items.some((run) => "state" in run && run.state === "running")) ? 1_500 : false),
  });
  const runs = flat<ReplayRun>(query.data?.pages).filter((run) => ruleId === undefined || run.tracking_api_id === ruleId);
  if (query.isPending) return <Loading rows={2} />;
  if (query.error) return <Failure error={query.error} retry={() => void query.refetch()} />;
  if (runs.length === 0) return <Empty title={t.none}>{t.noneHint}</Empty>;
  return (
    <div className="stack">
      {runs.map((run) => (
        <Run key={run.id} run={run} />
      ))}
      <More query={query} />
    </div>
  );
}

function Run({ run }: { run: ReplayRun }) {
  const { ask, notify } = useFeedback();
  const refresh = useRefresh();
  const names = useRuleNames();
  const { deliveries, held, looked_at, expected, expected_complete } = run.counts;
  const isRunning = run.state === "running";
  const cancel = async () => {
    await content(api.POST("/replays/{id}/cancel", { params: { path: { id: run.id } } }));
    notify(t.stopped);
    await refresh("replays");
  };
  return (
    <section className="panel stack tight" aria-label={`${t.kinds[run.kind]} ${run.id}`}>
      <div className="row apart">
        <div className="row">
          <strong>{t.kinds[run.kind]}</strong>
          <Badge tone={isRunning ? "info" : run.state === "completed" ? "ok" : "quiet"}>{t.states[run.state]}</Badge>
        </div>
        {isRunning && (
          <Button size="xs" variant="default" onClick={() => ask({ title: t.stopTitle, text: t.stopText(deliveries, Math.max(0, expected - looked_at)), confirm: t.stop, danger: true, act: cancel })}>
            {t.stop}
          </Button>
        )}
      </div>
      <span className="small">
        {t.of} <TextLink href={`/rules/${run.tracking_api_id}`}>{names.get(run.tracking_api_id) ?? run.tracking_api_id}</TextLink>, {t.period} <When at={run.from} /> – <When at={run.to} />
      </span>
      {isRunning && <progress aria-label={t.progress} max={Math.max(1, expected)} value={Math.min(looked_at, expected)} />}
      <span className="small dim">
        {t.counts(deliveries, held, looked_at, expected, expected_complete)}
        {run.reason ? ` – ${run.reason}` : ""}
      </span>
      <span className="small dim">
        {t.begun} <When at={run.begun_at} relative />
        {run.ended_at && (
          <>
            , {t.ended} <When at={run.ended_at} relative />
          </>
        )}
      </span>
    </section>
  );
}
