//! DynamoDB: the one table, on an engine that knows its rules; it reports the cost of each call beside its answer.

use std::collections::HashMap;

use dynoxide::{
    AttributeValue, Database, DynoxideError,
    actions::{
        batch_get_item::BatchGetItemRequest, batch_write_item::BatchWriteItemRequest, delete_item::DeleteItemRequest,
        get_item::GetItemRequest, put_item::PutItemRequest, query::QueryRequest, scan::ScanRequest,
    },
    types::{ConsumedCapacity, item_size, table_write_capacity_units},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    TABLE,
    counts::Bill,
    wire::{Refused, Reply},
};

/// The table, in memory.
pub(super) struct Table(Database);

type Attributes = HashMap<String, AttributeValue>;

impl Table {
    /// Makes the table as the stack does.
    pub(super) fn new() -> Self {
        let database = Database::memory().expect("a database in memory");
        let text = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        let keys = |hash: &str, range: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]);
        let request = json!({
            "TableName": TABLE,
            "AttributeDefinitions": [text("pk"), text("sk"), text("tpk"), text("tsk")],
            "KeySchema": keys("pk", "sk"),
            "GlobalSecondaryIndexes": [
                {"IndexName": "trouble", "KeySchema": keys("tpk", "tsk"), "Projection": {"ProjectionType": "KEYS_ONLY"}},
            ],
            "BillingMode": "PAY_PER_REQUEST",
        });
        let request = serde_json::from_value(request).expect("the table is described well");
        database.create_table(request).expect("the table can be made");
        Self(database)
    }

    pub(super) fn call(&self, action: &str, body: &str, leave: &[usize], bill: &mut Bill) -> Reply {
        match action {
            "PutItem" => {
                let request: PutItemRequest = measured(body)?;
                bill.entries = 1;
                let (key, new) = (key_of(&request.item), item_size(&request.item));
                let output = self.0.put_item(request).map_err(|error| self.refused(&error, key, Some(new), bill))?;
                bill_one(output.consumed_capacity.as_ref(), bill);
                Ok(shown(body, &output))
            }
            "DeleteItem" => {
                let request: DeleteItemRequest = measured(body)?;
                bill.entries = 1;
                let key = key_of(&request.key);
                let output = self.0.delete_item(request).map_err(|error| self.refused(&error, key, None, bill))?;
                bill_one(output.consumed_capacity.as_ref(), bill);
                Ok(shown(body, &output))
            }
            "Query" => {
                let request: QueryRequest = measured(body)?;
                let output = self.0.query(request).map_err(|error| refused(&error))?;
                bill.entries = output.count as u64;
                bill_one(output.consumed_capacity.as_ref(), bill);
                Ok(shown(body, &output))
            }
            "BatchGetItem" => parted(body, leave, Some("Keys"), "UnprocessedKeys", |body| {
                let request: BatchGetItemRequest = measured(body)?;
                bill.entries = request.request_items.values().map(|of_table| of_table.keys.len() as u64).sum();
                let output = self.0.batch_get_item(request).map_err(|error| refused(&error))?;
                bill_all(output.consumed_capacity.as_ref(), bill);
                Ok(shown(body, &output))
            }),
            "BatchWriteItem" => parted(body, leave, None, "UnprocessedItems", |body| {
                let request: BatchWriteItemRequest = measured(body)?;
                bill.entries = request.request_items.values().map(|of_table| of_table.len() as u64).sum();
                let output = self.0.batch_write_item(request).map_err(|error| refused(&error))?;
                bill_all(output.consumed_capacity.as_ref(), bill);
                Ok(shown(body, &output))
            }),
            _ => Err(Refused::unknown(action)),
        }
    }

    /// Returns every item, in the protocol's form.
    pub(super) fn items(&self) -> Vec<Value> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let request = ScanRequest { table_name: TABLE.to_owned(), exclusive_start_key: from, ..ScanRequest::default() };
            let page = self.0.scan(request).expect("the table can be read");
            items.extend(page.items.unwrap_or_default().iter().map(|item| json!(item)));
            match page.last_evaluated_key {
                Some(key) => from = Some(key),
                None => return items,
            }
        }
    }

    /// Bills a failed condition: it costs as much as the write would have.
    fn refused(&self, error: &DynoxideError, key: Attributes, new: Option<usize>, bill: &mut Bill) -> Refused {
        if matches!(error, DynoxideError::ConditionalCheckFailedException(..)) {
            let request = GetItemRequest { table_name: TABLE.to_owned(), key, ..GetItemRequest::default() };
            let stored = self.0.get_item(request).expect("the item of a write can be read").item;
            bill.units(table_write_capacity_units(stored.as_ref().map(item_size), new));
        }
        refused(error)
    }
}

/// Reads a request, and asks for its cost.
fn measured<T: DeserializeOwned>(body: &str) -> Result<T, Refused> {
    let faulty = |error: serde_json::Error| {
        // The engine marks the faults that it finds while it parses.
        let text = error.to_string();
        match text.split_once(':').filter(|(mark, _)| mark.starts_with("VALIDATION")) {
            Some((_, why)) => Refused::bad("com.amazon.coral.validate#ValidationException", why),
            None => Refused::bad("com.amazon.coral.service#SerializationException", &text),
        }
    };
    let mut request: Value = serde_json::from_str(body).map_err(faulty)?;
    request["ReturnConsumedCapacity"] = "TOTAL".into();
    serde_json::from_value(request).map_err(faulty)
}

/// Returns an answer without the cost, unless the request asked for it.
fn shown(body: &str, output: &impl Serialize) -> Value {
    let mut answer = json!(output);
    if !body.contains("ReturnConsumedCapacity") {
        answer.as_object_mut().expect("an answer is an object").remove("ConsumedCapacity");
    }
    answer
}

/// Works a batch without some of its entries, and reports those as not processed. If entries are listed under a name, the fields beside
/// that list go with both parts.
fn parted(body: &str, leave: &[usize], list: Option<&str>, name: &str, work: impl FnOnce(&str) -> Reply) -> Reply {
    if leave.is_empty() {
        return work(body);
    }
    let mut request: Value = serde_json::from_str(body).expect("the client writes JSON");
    let tables = request["RequestItems"].as_object_mut().expect("a batch names its items");
    let (mut left, mut at) = (Map::new(), 0);
    for (table, of_table) in tables.iter_mut() {
        let mut beside = of_table.clone();
        let entries = entries(of_table, list);
        let mut kept = Vec::new();
        let mut left_out = Vec::new();
        for entry in entries.drain(..) {
            let part = if leave.contains(&at) { &mut left_out } else { &mut kept };
            part.push(entry);
            at += 1;
        }
        *entries = kept;
        if !left_out.is_empty() {
            *self::entries(&mut beside, list) = left_out;
            left.insert(table.clone(), beside);
        }
    }
    tables.retain(|_, of_table| !entries(of_table, list).is_empty());
    let mut answer = if tables.is_empty() { json!({"Responses": {}}) } else { work(&request.to_string())? };
    answer[name] = left.into();
    Ok(answer)
}

fn entries<'a>(of_table: &'a mut Value, list: Option<&str>) -> &'a mut Vec<Value> {
    let entries = match list {
        Some(list) => &mut of_table[list],
        None => of_table,
    };
    entries.as_array_mut().expect("a batch lists its entries")
}

fn refused(error: &DynoxideError) -> Refused {
    let body = serde_json::from_str(&error.to_json()).expect("an error is written as JSON");
    Refused { status: error.status_code(), body, query_error: None }
}

fn key_of(item: &Attributes) -> Attributes {
    ["pk", "sk"].into_iter().filter_map(|name| Some((name.to_owned(), item.get(name)?.clone()))).collect()
}

fn bill_one(consumed: Option<&ConsumedCapacity>, bill: &mut Bill) {
    bill.units(consumed.expect("the cost was asked for").capacity_units);
}

fn bill_all(consumed: Option<&Vec<ConsumedCapacity>>, bill: &mut Bill) {
    for consumed in consumed.expect("the cost was asked for") {
        bill.units(consumed.capacity_units);
    }
}
