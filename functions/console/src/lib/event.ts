/** The likely event of a delivery, as far as the log knows it. */
import type { Delivery, Event } from "../api/types";

/** The log keeps neither type, source nor advertiser of a conversion: they are the usual ones here, for the reader to mend. */
export function eventOf(delivery: Delivery): Event {
  const change = delivery.event.endsWith("created") ? "created" : "updated";
  const transaction = delivery.transaction_id === null ? [] : [{ transaction_id: delivery.transaction_id, change, result: delivery.result ?? "approved", payout: delivery.payout, currency: delivery.currency }];
  return {
    change_id: delivery.change_id,
    occurred_at: delivery.created_at,
    conversion: {
      conversion_id: delivery.conversion_id,
      version: 1,
      change,
      type: "sale",
      source: "link",
      affiliate_id: delivery.affiliate_id,
      advertiser_id: "adv_1",
      offer_id: delivery.offer_id,
      external_id: delivery.external_id,
      affiliate_click_id: delivery.click_id,
    },
    transactions: transaction,
  } as Event;
}
