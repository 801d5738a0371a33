//! DynamoDB: the table as the stack makes it, and its limits.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::put_item::PutItemError,
    types::{AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, ReturnValuesOnConditionCheckFailure, WriteRequest},
};
use tracking_tests::cloud::TABLE;

use super::{Sky, code};

pub(super) type Attributes = HashMap<String, AttributeValue>;

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn key(pk: &str, sk: &str) -> Attributes {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// Returns an item with a body of this many bytes.
pub(super) fn item(pk: &str, sk: &str, body: usize) -> Attributes {
    let mut item = key(pk, sk);
    item.insert("body".to_owned(), text("x".repeat(body)));
    item
}

pub(super) fn put(item: Attributes) -> WriteRequest {
    WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().expect("an item")).build()
}

pub(super) fn delete(pk: &str, sk: &str) -> WriteRequest {
    let request = DeleteRequest::builder().set_key(Some(key(pk, sk))).build().expect("a key");
    WriteRequest::builder().delete_request(request).build()
}

pub(super) fn keys(keys: Vec<Attributes>) -> KeysAndAttributes {
    KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().expect("keys")
}

impl Sky {
    /// Writes a batch. Returns the code of the refusal, empty if there was none.
    async fn write(&self, requests: Vec<WriteRequest>) -> String {
        let answer = self.dynamodb().batch_write_item().request_items(TABLE, requests).send().await;
        if answer.is_ok() { String::new() } else { code(answer) }
    }

    async fn read(&self, wanted: Vec<Attributes>) -> String {
        let answer = self.dynamodb().batch_get_item().request_items(TABLE, keys(wanted)).send().await;
        if answer.is_ok() { String::new() } else { code(answer) }
    }
}

#[tokio::test]
async fn large_bodies_come_back_to_the_letter() {
    let sky = Sky::new().await;
    let body = "ž\"\\\u{1F600}".repeat(300 * 1024 / 8);
    let mut item = key("p", "s");
    item.insert("body".to_owned(), text(&body));
    item.insert("rev".to_owned(), AttributeValue::N("7".to_owned()));
    assert_eq!(sky.write(vec![put(item)]).await, "");
    let read = sky.dynamodb().batch_get_item().request_items(TABLE, keys(vec![key("p", "s")])).send().await.expect("read");
    let read = &read.responses().expect("items")[TABLE][0];
    assert_eq!((read["body"].as_s(), read["rev"].as_n()), (Ok(&body), Ok(&"7".to_owned())));
    assert_eq!(sky.cloud.items().len(), 1);
}

#[tokio::test]
async fn a_failed_condition_shows_the_existing_item() {
    let sky = Sky::new().await;
    let put = |body| {
        let put = sky.dynamodb().put_item().table_name(TABLE).set_item(Some(item("p", "s", body)));
        let put = put.condition_expression("attribute_not_exists(pk)");
        put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld).send()
    };
    put(1).await.expect("there is no item yet");
    match put(2).await.expect_err("there is an item").into_service_error() {
        PutItemError::ConditionalCheckFailedException(failed) => {
            assert_eq!(failed.item().expect("the item")["body"], text("x"));
        }
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_batch_of_writes_has_one_to_25_of_distinct_items() {
    let sky = Sky::new().await;
    let many = |count: usize| (0..count).map(|n| put(item("p", &n.to_string(), 1))).collect::<Vec<_>>();
    assert_eq!(sky.write(many(25)).await, "");
    assert_eq!(sky.write(many(26)).await, "ValidationException");
    assert_eq!(sky.write(Vec::new()).await, "ValidationException");
    assert_eq!(sky.write(vec![put(item("q", "s", 1)), put(item("q", "s", 2))]).await, "ValidationException");
    assert_eq!(sky.write(vec![put(item("q", "s", 1)), delete("q", "s")]).await, "ValidationException");
    assert_eq!(sky.cloud.items().len(), 25);
}

#[tokio::test]
async fn a_batch_of_reads_has_one_to_100_distinct_keys() {
    let sky = Sky::new().await;
    let many = |count: usize| (0..count).map(|n| key("p", &n.to_string())).collect::<Vec<_>>();
    assert_eq!(sky.read(many(100)).await, "");
    assert_eq!(sky.read(many(101)).await, "ValidationException");
    assert_eq!(sky.read(Vec::new()).await, "ValidationException");
    assert_eq!(sky.read(vec![key("p", "s"), key("p", "s")]).await, "ValidationException");
}

#[tokio::test]
async fn an_item_is_400_kilobytes_at_most_names_included() {
    let sky = Sky::new().await;
    // Beside the body: `pk` p, `sk` s, and the name `body`.
    let most = 400 * 1024 - 3 - 3 - 4;
    assert_eq!(sky.write(vec![put(item("p", "s", most))]).await, "");
    assert_eq!(sky.write(vec![put(item("p", "t", most + 1))]).await, "ValidationException");
    let put = sky.dynamodb().put_item().table_name(TABLE);
    assert_eq!(code(put.set_item(Some(item("p", "t", most + 1))).send().await), "ValidationException");
    assert_eq!(sky.cloud.items().len(), 1);
}

#[tokio::test]
async fn keys_are_not_empty() {
    let sky = Sky::new().await;
    for (pk, sk) in [("", "s"), ("p", "")] {
        assert_eq!(sky.write(vec![put(item(pk, sk, 1))]).await, "ValidationException");
        assert_eq!(sky.write(vec![delete(pk, sk)]).await, "ValidationException");
        assert_eq!(sky.read(vec![key(pk, sk)]).await, "ValidationException");
        let put = sky.dynamodb().put_item().table_name(TABLE).set_item(Some(item(pk, sk, 1)));
        assert_eq!(code(put.send().await), "ValidationException");
        let delete = sky.dynamodb().delete_item().table_name(TABLE).set_key(Some(key(pk, sk)));
        assert_eq!(code(delete.send().await), "ValidationException");
    }
    let mut troubled = item("p", "s", 1);
    troubled.extend([("tpk".to_owned(), text("")), ("tsk".to_owned(), text("x"))]);
    assert_eq!(sky.write(vec![put(troubled)]).await, "ValidationException");
    assert_eq!(sky.cloud.items().len(), 0);
}

#[tokio::test]
async fn there_is_one_table_and_few_actions() {
    let sky = Sky::new().await;
    let elsewhere = sky.dynamodb().put_item().table_name("another").set_item(Some(item("p", "s", 1)));
    assert_eq!(code(elsewhere.send().await), "ResourceNotFoundException");
    let scan = sky.dynamodb().scan().table_name(TABLE);
    assert_eq!(code(scan.send().await), "UnknownOperationException");
    assert_eq!(sky.cloud.calls().of("DynamoDB.Scan").calls, 1);
}
