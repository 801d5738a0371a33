//! Messages that can't be read do not affect others.

use serde_json::json;
use tracking_tests::receiver::Receiver;

use crate::deployed::{
    OK,
    queues::{RESTING, WORKED},
    sale, sorted,
    stack::on_stack,
};

#[test]
fn a_poison_message_goes_to_the_dead_letters_and_nowhere_else() {
    on_stack(async |stack| {
        let poison = "poison of e2e: {\"no\": json";
        stack.queues.send("DeliveryQueue", &[poison.to_owned()]).await;
        stack.queues.found("DeliveryDeadLetters", "the poison", |body| body == poison).await;
        for queue in WORKED {
            stack.queues.drained(queue).await;
        }
        let found =
            RESTING.map(|queue| (queue, stack.queues.rested(queue).iter().filter(|body| body.contains("poison of e2e")).count()));
        assert_eq!(found.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>(), [("DeliveryDeadLetters", 1)]);
        let items = stack.items().await;
        assert!(!items.iter().any(|item| item.contains("poison of e2e")), "it lies in the table too");
    });
}

#[test]
fn one_bad_record_in_a_batch_of_ten_harms_none_of_the_others() {
    on_stack(async |stack| {
        let receiver = Receiver::start(|_| OK).await;
        let admin = stack.issuer.admin();
        let rule = stack.api.rule(&admin, "aff_batch", &format!("{}/?c={{conversion_id}}", receiver.url()), &json!({})).await;
        let event = |number| {
            let detail = sale("aff_batch", &format!("cnv_batch_{number}"));
            json!({"source": "platform.conversions", "detail-type": "Conversion Changed", "detail": detail}).to_string()
        };
        let mut bodies: Vec<String> = (0..10).map(event).collect();
        "no event of e2e at all".clone_into(&mut bodies[4]);
        stack.queues.send("EventsQueue", &bodies).await;
        stack.api.all(&admin, &rule, 9, "delivered").await;
        assert_eq!(sorted(&receiver), [0, 1, 2, 3, 5, 6, 7, 8, 9].map(|number| format!("/?c=cnv_batch_{number}")));
        stack.queues.found("EventsDeadLetters", "the bad one", |body| body == "no event of e2e at all").await;
    });
}
