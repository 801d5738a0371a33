//! DynamoDB's billed units, against sizes that were calculated by hand.

use aws_sdk_dynamodb::types::AttributeValue;
use tracking_tests::cloud::TABLE;

use super::{
    Sky,
    table::{Attributes, delete, item, key, keys, put, text},
};

/// `pk` p and `sk` s with their names, and the name `body`.
const BESIDE_THE_BODY: usize = 3 + 3 + 4;

impl Sky {
    /// Returns the units billed for writing this in one call.
    async fn writing(&self, requests: Vec<aws_sdk_dynamodb::types::WriteRequest>) -> u64 {
        self.cloud.reset_counts();
        self.dynamodb().batch_write_item().request_items(TABLE, requests).send().await.expect("written");
        self.cloud.calls().write_units()
    }

    async fn putting(&self, item: Attributes) -> u64 {
        self.cloud.reset_counts();
        self.dynamodb().put_item().table_name(TABLE).set_item(Some(item)).send().await.expect("written");
        self.cloud.calls().write_units()
    }

    /// Returns the units billed for a conditional put that fails.
    async fn failing(&self, item: Attributes) -> u64 {
        self.cloud.reset_counts();
        let put = self.dynamodb().put_item().table_name(TABLE).set_item(Some(item)).condition_expression("rev = :rev");
        put.expression_attribute_values(":rev", AttributeValue::N("9".to_owned())).send().await.expect_err("it fails");
        self.cloud.calls().write_units()
    }

    /// Returns the half units billed for reading these.
    async fn reading(&self, wanted: Vec<Attributes>) -> u64 {
        self.cloud.reset_counts();
        self.dynamodb().batch_get_item().request_items(TABLE, keys(wanted)).send().await.expect("read");
        self.cloud.calls().read_half_units()
    }
}

fn troubled(place: &str, body: usize) -> Attributes {
    let mut item = item("p", "s", body);
    item.extend([("tpk".to_owned(), text("t")), ("tsk".to_owned(), text(place))]);
    item
}

#[tokio::test]
async fn a_write_is_billed_by_started_kilobytes() {
    let sky = Sky::new().await;
    assert_eq!(sky.putting(item("p", "s", 1024 - BESIDE_THE_BODY)).await, 1);
    assert_eq!(sky.putting(item("p", "s", 1025 - BESIDE_THE_BODY)).await, 2);
    // Two digits are a byte, and a number has one more.
    let mut numbered = item("q", "s", 1024 - BESIDE_THE_BODY - 3 - 3);
    numbered.insert("rev".to_owned(), AttributeValue::N("1234".to_owned()));
    assert_eq!(sky.putting(numbered.clone()).await, 1);
    numbered.insert("rev".to_owned(), AttributeValue::N("12345".to_owned()));
    assert_eq!(sky.putting(numbered).await, 2);
    // Characters count by their bytes.
    let mut wide = key("r", "s");
    wide.insert("body".to_owned(), text("ž".repeat(508)));
    assert_eq!(sky.putting(wide).await, 2);
}

#[tokio::test]
async fn the_larger_of_old_and_new_is_billed() {
    let sky = Sky::new().await;
    assert_eq!(sky.putting(item("p", "s", 3000)).await, 3);
    assert_eq!(sky.putting(item("p", "s", 1)).await, 3);
    assert_eq!(sky.putting(item("p", "s", 5000)).await, 5);
    assert_eq!(sky.writing(vec![delete("p", "s")]).await, 5);
    assert_eq!(sky.writing(vec![delete("p", "s")]).await, 1);
}

#[tokio::test]
async fn a_batch_is_billed_item_by_item() {
    let sky = Sky::new().await;
    let requests = (0..10).map(|n| put(item("p", &n.to_string(), 100))).collect();
    assert_eq!(sky.writing(requests).await, 10);
    let tally = sky.cloud.calls().of("DynamoDB.BatchWriteItem");
    assert_eq!((tally.calls, tally.entries), (1, 10));
    let requests = vec![put(item("p", "0", 2000)), delete("p", "1"), put(item("p", "2", 1))];
    assert_eq!(sky.writing(requests).await, 4);
}

#[tokio::test]
async fn a_failed_condition_is_billed() {
    let sky = Sky::new().await;
    assert_eq!(sky.failing(item("p", "s", 2000)).await, 2);
    assert_eq!(sky.putting(item("p", "s", 3000)).await, 3);
    assert_eq!(sky.failing(item("p", "s", 1)).await, 3);
    assert_eq!(sky.failing(item("p", "s", 4000)).await, 4);
    sky.cloud.reset_counts();
    let delete = sky.dynamodb().delete_item().table_name(TABLE).set_key(Some(key("p", "s")));
    delete.condition_expression("attribute_exists(nothing)").send().await.expect_err("it fails");
    assert_eq!(sky.cloud.calls().write_units(), 3);
    assert_eq!(sky.cloud.items().len(), 1);
}

#[tokio::test]
async fn the_sparse_index_is_billed_when_an_entry_moves() {
    let sky = Sky::new().await;
    assert_eq!(sky.putting(item("p", "s", 1)).await, 1, "not in the index");
    assert_eq!(sky.putting(troubled("a", 1)).await, 1 + 1, "it enters");
    assert_eq!(sky.putting(troubled("a", 2)).await, 1, "only keys are kept there");
    assert_eq!(sky.putting(troubled("b", 2)).await, 1 + 2, "it moves");
    assert_eq!(sky.putting(item("p", "s", 2)).await, 1 + 1, "it leaves");
    assert_eq!(sky.writing(vec![put(troubled("c", 2000))]).await, 2 + 1, "an entry is small");
    assert_eq!(sky.writing(vec![delete("p", "s")]).await, 2 + 1, "it goes with its item");
}

#[tokio::test]
async fn a_strong_read_is_billed_by_started_four_kilobytes() {
    let sky = Sky::new().await;
    sky.putting(item("p", "s", 4096 - BESIDE_THE_BODY)).await;
    sky.putting(item("p", "t", 4097 - BESIDE_THE_BODY)).await;
    assert_eq!(sky.reading(vec![key("p", "s")]).await, 2);
    assert_eq!(sky.reading(vec![key("p", "t")]).await, 4);
    assert_eq!(sky.reading(vec![key("p", "nothing")]).await, 2);
    assert_eq!(sky.reading(vec![key("p", "s"), key("p", "t"), key("p", "nothing")]).await, 8);
}

#[tokio::test]
async fn a_query_is_billed_for_all_it_read() {
    let sky = Sky::new().await;
    for n in 0..10 {
        let mut item = item("p", &n.to_string(), 1014);
        item.extend([("tpk".to_owned(), text("t")), ("tsk".to_owned(), text(n.to_string()))]);
        sky.putting(item).await;
    }
    sky.cloud.reset_counts();
    let query = sky.dynamodb().query().table_name(TABLE).expression_attribute_values(":p", text("p"));
    let strong = query.key_condition_expression("pk = :p").consistent_read(true).send().await.expect("read");
    assert_eq!(strong.items().len(), 10);
    // 1 024 bytes and the ten of `tpk` t and `tsk` n, ten times: three times four kilobytes.
    assert_eq!(sky.cloud.calls().read_half_units(), 6);
    sky.cloud.reset_counts();
    let query = sky.dynamodb().query().table_name(TABLE).index_name("trouble").expression_attribute_values(":t", text("t"));
    let stale = query.key_condition_expression("tpk = :t").send().await.expect("read");
    assert_eq!((stale.items().len(), stale.items()[0].len()), (10, 4));
    assert_eq!(sky.cloud.calls().read_half_units(), 1);
}

#[tokio::test]
async fn the_counts_are_readable() {
    let sky = Sky::new().await;
    sky.putting(item("p", "s", 2000)).await;
    let query = sky.dynamodb().query().table_name(TABLE).key_condition_expression("pk = :p");
    query.expression_attribute_values(":p", text("p")).send().await.expect("read");
    let expected = "\
action                                  calls  entries     billed
DynamoDB.PutItem                            1        1          2 write units
DynamoDB.Query                              1        1        0.5 read units
";
    assert_eq!(sky.cloud.calls().to_string(), expected);
}
