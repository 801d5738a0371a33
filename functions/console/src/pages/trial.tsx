/** The result of trying a rule out: by the preview, and by a test that really sends. */
import type { MacroUse, SentRequest, Trial, Verdict } from "../api/types";
import { get } from "../lib/draft";
import { pieces, useAt } from "../lib/template";
import { millis } from "../lib/time";
import { texts } from "../texts";
import { Badge } from "../ui/basics";
import { ScheduleLine } from "../ui/charts";

const t = texts.trial;

export function TrialResult({ trial, rule }: { trial: Trial; rule: unknown }) {
  return (
    <div className="stack">
      <Fires trial={trial} />
      {trial.sent && <Answer trial={trial} />}
      {trial.warnings.length > 0 && (
        <div className="notice warn">
          <strong>{t.warnings}</strong>
          <ul>
            {trial.warnings.map((warning) => (
              <li key={warning.pointer + warning.detail} className="small break">
                <code>{warning.pointer}</code> {warning.detail}
              </li>
            ))}
          </ul>
        </div>
      )}
      {trial.steps ? (
        <Steps trial={trial} steps={trial.steps} />
      ) : (
        trial.request && (
          <section className="stack tight">
            <h3>{t.request}</h3>
            <RequestView request={trial.request} />
          </section>
        )
      )}
      {trial.macros.length > 0 && <Values rule={rule} uses={trial.macros} />}
      <section className="stack tight">
        <h3>{t.schedule}</h3>
        <ScheduleLine schedule={trial.schedule} />
      </section>
    </div>
  );
}

function Fires({ trial }: { trial: Trial }) {
  const tone = trial.fires ? (trial.held ? "info" : "ok") : "warn";
  return (
    <div className={`notice ${tone}`} role="status">
      <strong>{trial.fires ? (trial.held ? t.held : t.fires) : t.firesNot}</strong>
      {trial.sample && <span className="small">{t.sample}</span>}
      <Verdicts verdicts={trial.verdicts} />
    </div>
  );
}

/** The request of each step of a flow, in the order in which the steps were tried, and the end of the trial. */
function Steps({ trial, steps }: { trial: Trial; steps: NonNullable<Trial["steps"]> }) {
  return (
    <section className="stack tight">
      <h3>{t.steps}</h3>
      {steps.map((step, at) => (
        <div key={at} className="stack tight">
          <div className="row">
            <strong className="mono">{step.step}</strong>
            {step.verdict && <Badge tone={step.verdict === "failed" ? "bad" : "ok"}>{texts.verdicts[step.verdict] ?? step.verdict}</Badge>}
            {step.waits_until && <span className="small dim">{t.waitsUntil(step.waits_until)}</span>}
          </div>
          {step.note && <p className="small dim break">{step.note}</p>}
          {step.error && <p className="small break">{step.error}</p>}
          {step.request && <RequestView request={step.request} />}
        </div>
      ))}
      {trial.ends && <p className="small break">{t.ends(trial.ends.state, trial.ends.reason)}</p>}
    </section>
  );
}

export function Verdicts({ verdicts }: { verdicts: readonly Verdict[] }) {
  return (
    <ul className="small">
      {verdicts.map((verdict, at) => (
        <li key={at} className="break">
          {texts.events[verdict.event]}
          {verdict.transaction_id ? ` (${verdict.transaction_id})` : ""}: {verdict.fires ? t.yes : verdict.reasons.map((reason) => reason.detail).join("; ") || t.no}
          {verdict.note ? ` – ${verdict.note}` : ""}
        </li>
      ))}
    </ul>
  );
}

function Answer({ trial }: { trial: Trial }) {
  const tone = trial.verdict === "delivered" ? "ok" : trial.verdict === "pending" ? "warn" : "bad";
  return (
    <section className="stack tight" aria-label={t.answer}>
      <div className="row">
        <h3>{t.answer}</h3>
        {trial.verdict && <Badge tone={tone}>{texts.verdicts[trial.verdict] ?? trial.verdict}</Badge>}
        <span className="small dim">
          {trial.status === null ? t.noStatus : t.status(trial.status)}, {millis(trial.duration_ms)}
        </span>
      </div>
      {trial.error && <p className="notice bad break">{trial.error}</p>}
      {trial.answer !== null && trial.answer !== "" && (
        <pre className="code" tabIndex={0} aria-label={t.answer}>
          {trial.answer}
        </pre>
      )}
    </section>
  );
}

/** A request as it goes out; secrets are masked. */
export function RequestView({ request }: { request: SentRequest }) {
  return (
    <div className="request">
      <pre className="code" tabIndex={0} aria-label={t.url}>
        <span className="method">{request.method}</span>
        {request.url}
      </pre>
      {Object.keys(request.headers).length > 0 && (
        <details>
          <summary className="small">{t.headers(Object.keys(request.headers).length)}</summary>
          <table>
            <tbody>
              {Object.entries(request.headers).map(([name, value]) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td className="mono break">{value}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      )}
      {request.body !== null && request.body !== "" && (
        <pre className="code" tabIndex={0} aria-label={t.body}>
          {request.body}
        </pre>
      )}
    </div>
  );
}

/** Each place of the rule that has macros, with the values in it; the origin of a value is shown on hover and in the table below. */
function Values({ rule, uses }: { rule: unknown; uses: readonly MacroUse[] }) {
  const places = [...new Set(uses.map((use) => use.place))];
  return (
    <section className="stack tight">
      <h3>{t.values}</h3>
      <div className="request">
        <table>
          <tbody>
            {places.map((place) => (
              <tr key={place}>
                <th scope="row">{placeName(rule, place)}</th>
                <td className="mono break">
                  <Filled template={templateAt(rule, place)} place={place} uses={uses} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <details>
        <summary className="small">{t.origins}</summary>
        <div className="request">
          <table>
            <thead>
              <tr>
                <th scope="col">{t.macro}</th>
                <th scope="col">{t.value}</th>
                <th scope="col">{t.from}</th>
              </tr>
            </thead>
            <tbody>
              {uses.map((use, at) => (
                <tr key={at}>
                  <td className="mono break">{use.macro}</td>
                  <td className="mono break">{use.missing ? t.missing : (use.text ?? use.value ?? "")}</td>
                  <td className="break">{use.from}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </section>
  );
}

function templateAt(rule: unknown, place: string): string | null {
  const value = get(rule, `/request${place}`) ?? get(rule, place);
  return typeof value === "string" ? value : null;
}

/** `payout` for `/query/2/value`: the name that the reader gave the place. */
function placeName(rule: unknown, place: string): string {
  const parent = place.split("/").slice(0, 3).join("/");
  const body = place.split("/").slice(0, 4).join("/");
  const name = get(rule, `/request${parent}/name`) ?? get(rule, `/request${body}/path`);
  return typeof name === "string" && name !== "" ? name : place.slice(1);
}

function Filled({ template, place, uses }: { template: string | null; place: string; uses: readonly MacroUse[] }) {
  if (template === null) {
    const here = uses.filter((use) => use.place === place);
    return here.map((use, at) => <Chip key={at} use={use} macro={use.macro} />);
  }
  return pieces(template).map((piece, at) => ("text" in piece ? <span key={at}>{piece.text}</span> : <Chip key={at} macro={piece.macro} use={useAt(uses, place, piece.macro)} />));
}

function Chip({ use, macro }: { use: MacroUse | undefined; macro: string }) {
  if (!use) return <span>{macro}</span>;
  const value = use.text ?? use.value ?? "";
  return (
    <span className={use.missing || value === "" ? "value missing" : "value"} title={t.origin(use.macro, use.from)}>
      {value === "" ? t.empty : value}
    </span>
  );
}

