/** Charts, each with a description in words. */
import type { Health, Schedule, State } from "../api/types";
import type { Stats } from "../api/types";
import { duration, exact, millis } from "../lib/time";
import { texts } from "../texts";
import { type Tone, toneOf } from "./basics";

const order: Tone[] = ["ok", "info", "warn", "bad", "quiet"];

/** Counts by state, grouped by outcome. */
export function byTone(counts: Record<string, number>): Record<Tone, number> {
  const sums: Record<Tone, number> = { ok: 0, bad: 0, warn: 0, info: 0, quiet: 0 };
  for (const [state, count] of Object.entries(counts)) sums[state in texts.states ? toneOf(state as State) : "quiet"] += count;
  return sums;
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((one, other) => one + other, 0);
}

/** The states of a day's deliveries as a bar. */
export function HealthBar({ health }: { health: Health | undefined }) {
  const counts = health?.counts_24h ?? {};
  const total = sum(counts);
  if (total === 0) return <span className="dim small">{texts.health.nothing}</span>;
  const tones = byTone(counts);
  const words = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`)
    .join(", ");
  return (
    <div className="cell" title={`${texts.health.day}: ${words}`}>
      <span className="bar" role="img" aria-label={`${texts.health.day}: ${words}`}>
        {order.map((tone) => (tones[tone] > 0 ? <span key={tone} className={`bg-${tone}`} style={{ flex: tones[tone] }} /> : null))}
      </span>
      <span className="dim small nowrap">{texts.health.count(total)}</span>
    </div>
  );
}

const WIDTH = 720;
const HEIGHT = 180;
const BASE = HEIGHT - 20;

/** Deliveries by outcome, a column for each bucket. */
export function Columns({ stats }: { stats: Stats }) {
  const buckets = stats.buckets;
  const most = Math.max(1, ...buckets.map((bucket) => sum(bucket.counts)));
  const width = WIDTH / Math.max(1, buckets.length);
  return (
    <figure className="stack tight">
      <svg className="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={texts.overview.columnsLabel(buckets.length, most)}>
        <line className="axis" x1={0} x2={WIDTH} y1={BASE} y2={BASE} />
        <text x={0} y={10}>
          {most}
        </text>
        {buckets.map((bucket, at) => {
          const tones = byTone(bucket.counts);
          let top = BASE;
          return (
            <g key={bucket.at}>
              <title>{`${exact(bucket.at)}: ${Object.entries(bucket.counts).map(([state, count]) => `${count} ${state}`).join(", ")}`}</title>
              {order.map((tone) => {
                const height = (tones[tone] / most) * (BASE - 16);
                top -= height;
                return height > 0 ? <rect key={tone} className={`fill-${tone}`} x={at * width + width * 0.1} width={width * 0.8} y={top} height={height} /> : null;
              })}
            </g>
          );
        })}
        <Ends buckets={buckets} />
      </svg>
      <ul className="legend">
        {order.map((tone) => (
          <li key={tone}>
            <span className={`swatch bg-${tone}`} aria-hidden="true" />
            {texts.tones[tone]}
          </li>
        ))}
      </ul>
    </figure>
  );
}

function Ends({ buckets }: { buckets: Stats["buckets"] }) {
  const [first, last] = [buckets[0], buckets.at(-1)];
  return (
    <>
      {first && (
        <text x={0} y={HEIGHT - 4}>
          {exact(first.at)}
        </text>
      )}
      {last && last !== first && (
        <text x={WIDTH} y={HEIGHT - 4} textAnchor="end">
          {exact(last.at)}
        </text>
      )}
    </>
  );
}

const percentiles = ["p50", "p95", "p99"] as const;

/** The latency of receivers over time. */
export function Latency({ stats }: { stats: Stats }) {
  const buckets = stats.buckets;
  const values = buckets.flatMap((bucket) => percentiles.map((key) => bucket.latency_ms?.[key] ?? 0));
  const most = Math.max(1, ...values);
  const step = buckets.length > 1 ? WIDTH / (buckets.length - 1) : WIDTH;
  const points = (key: (typeof percentiles)[number]) =>
    buckets
      .map((bucket, at) => [at * step, bucket.latency_ms?.[key]] as const)
      .filter((point): point is readonly [number, number] => typeof point[1] === "number")
      .map(([x, value]) => `${x.toFixed(1)},${(BASE - (value / most) * (BASE - 16)).toFixed(1)}`);
  return (
    <figure className="stack tight">
      <svg className="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={texts.overview.latencyLabel(millis(most))}>
        <line className="axis" x1={0} x2={WIDTH} y1={BASE} y2={BASE} />
        <text x={0} y={10}>
          {millis(most)}
        </text>
        {percentiles.map((key) => (
          <polyline key={key} className={`lines line-${key}`} points={points(key).join(" ")} />
        ))}
        <Ends buckets={buckets} />
      </svg>
      <ul className="legend">
        {percentiles.map((key) => (
          <li key={key}>
            <span className={`swatch bg-${{ p50: "ok", p95: "warn", p99: "bad" }[key]}`} aria-hidden="true" />
            {texts.overview[key]}
          </li>
        ))}
      </ul>
    </figure>
  );
}

/** The points of a line that have room for a label: the first, the last, and between them those that are far enough from the one before. */
function labelled(places: readonly number[]): ReadonlySet<number> {
  const room = 78;
  const end = places.at(-1) ?? 0;
  const chosen = new Set([0, places.length - 1]);
  let before = places[0] ?? 0;
  places.forEach((place, at) => {
    if (place - before < room || end - place < room) return;
    chosen.add(at);
    before = place;
  });
  return chosen;
}

/** The attempts of a delivery that fails every time, on a line of time that grows slower and slower. */
export function ScheduleLine({ schedule }: { schedule: Schedule }) {
  const times = [0];
  for (const wait of schedule.waits_seconds) times.push((times.at(-1) ?? 0) + wait);
  const last = times.at(-1) ?? 0;
  const scale = (seconds: number) => (last === 0 ? 12 : 12 + (Math.log1p(seconds / 30) / Math.log1p(last / 30)) * 456);
  const labels = labelled(times.map(scale));
  return (
    <figure className="stack tight">
      <svg className="chart" viewBox="0 0 480 56" role="img" aria-label={texts.schedule.label(times.length, duration(last))}>
        <line className="track" x1={12} x2={468} y1={18} y2={18} />
        {times.map((seconds, at) => {
          const x = scale(seconds);
          return (
            <g key={at}>
              <title>{`${texts.schedule.attempt(at + 1)}: ${at === 0 ? texts.schedule.now : duration(seconds)}`}</title>
              <circle className={at === 0 ? "fill-info" : "fill-quiet"} cx={x} cy={18} r={at === 0 ? 7 : 5} />
              {labels.has(at) && (
                <text x={x} y={44} textAnchor={x < 30 ? "start" : x > 440 ? "end" : "middle"}>
                  {at === 0 ? texts.schedule.now : `+${duration(seconds)}`}
                </text>
              )}
            </g>
          );
        })}
      </svg>
      <figcaption className="small dim">
        {schedule.waits_seconds.length === 0 ? texts.schedule.none : texts.schedule.words(schedule.text, schedule.waits_seconds.length)}
      </figcaption>
    </figure>
  );
}
