/** Deliveries as a table; which columns it has is the reader's choice. */
import type { ReactNode } from "react";
import { Link } from "wouter";
import { useRuleNames } from "../api/queries";
import type { Delivery } from "../api/types";
import { millis } from "../lib/time";
import { texts } from "../texts";
import { StateBadge, When } from "../ui/basics";

export const columns = ["rule", "conversion", "transaction", "click", "external", "offer", "affiliate", "event", "result", "http", "duration", "attempts", "due", "reason"] as const;
export type Column = (typeof columns)[number];

type Names = ReadonlyMap<string, string>;

const cells: Record<Column, (delivery: Delivery, names: Names) => ReactNode> = {
  rule: (delivery, names) => <Link href={`/rules/${delivery.tracking_api_id}`}>{names.get(delivery.tracking_api_id) ?? delivery.tracking_api_id}</Link>,
  conversion: (delivery) => <Link href={`/explain?conversion=${encodeURIComponent(delivery.conversion_id)}`}>{delivery.conversion_id}</Link>,
  transaction: (delivery) => delivery.transaction_id ?? "–",
  click: (delivery) => delivery.click_id ?? "–",
  external: (delivery) => delivery.external_id ?? "–",
  offer: (delivery) => delivery.offer_id,
  affiliate: (delivery) => delivery.affiliate_id,
  event: (delivery) => texts.events[delivery.event],
  result: (delivery) => [delivery.result, delivery.payout === null ? null : `${delivery.payout} ${delivery.currency ?? ""}`].filter(Boolean).join(" · ") || "–",
  http: (delivery) => delivery.http_status ?? "–",
  duration: (delivery) => millis(delivery.duration_ms),
  attempts: (delivery) => texts.deliveries.attemptsOf(delivery.attempts, delivery.max_attempts),
  due: (delivery) => <When at={delivery.next_due} relative />,
  reason: (delivery) => delivery.reason ?? "–",
};

export function DeliveriesTable({ deliveries, columns: chosen, label = texts.deliveries.title }: { deliveries: Delivery[]; columns: readonly Column[]; label?: string }) {
  const names = useRuleNames();
  return (
    <div className="tableBox" tabIndex={0} role="region" aria-label={texts.table(label)}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{texts.deliveries.at}</th>
            <th scope="col">{texts.deliveries.state}</th>
            {chosen.map((column) => (
              <th key={column} scope="col" className="wide">
                {texts.deliveries.columns[column]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {deliveries.map((delivery) => (
            <tr key={delivery.id}>
              <td>
                <div className="cell">
                  <Link href={`/deliveries/${delivery.id}`} className="name">
                    <When at={delivery.created_at} />
                    <span className="hidden"> {texts.deliveries.open(delivery.conversion_id)}</span>
                  </Link>
                  <span className="narrow small break">{names.get(delivery.tracking_api_id)}</span>
                  <span className="narrow small break">{delivery.conversion_id}</span>
                  <span className="narrow small break">{delivery.reason}</span>
                </div>
              </td>
              <td>
                <StateBadge state={delivery.state} />
              </td>
              {chosen.map((column) => (
                <td key={column} className="wide break">
                  {cells[column](delivery, names)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
