//! The SQL statements of each job.

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use tracking_engine::backend::{Effects, Item, Key, Published, Swap, Swapped};

use super::ids::MessageIds;
use crate::{
    lanes::{self, DueTime, PendingAck},
    read, time,
};

/// The time that an event stays on the bus, in days.
const BUS_DAYS: i64 = 30;
/// Items that one purge removes at most, so that it delays no other job.
pub(crate) const PURGE: usize = 500;

/// Compares and sets one item.
pub(super) fn swap(connection: &Connection, swap: &Swap) -> rusqlite::Result<Swapped> {
    let changed =
        match (swap.expect, &swap.new) {
            (None, Some(item)) => insert(connection, &swap.key, item)?,
            (Some(rev), Some(item)) => update(connection, &swap.key, rev, item)?,
            (Some(rev), None) => connection
                .prepare_cached("DELETE FROM items WHERE pk = ?1 AND sk = ?2 AND rev = ?3")?
                .execute((&swap.key.partition, &swap.key.sort, rev))?,
            (None, None) => 0,
        };
    if changed == 1 {
        return Ok(Swapped::Done);
    }
    let stored = read::one(connection, &swap.key)?;
    let nothing_to_do = stored.is_none() && swap.expect.is_none() && swap.new.is_none();
    Ok(if nothing_to_do { Swapped::Done } else { Swapped::Conflict(stored) })
}

fn insert(connection: &Connection, key: &Key, item: &Item) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO items (pk, sk, rev, expires, trouble_pk, trouble_sk, body) VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6) \
        ON CONFLICT DO NOTHING";
    let (expires, attention) = (item.expires.map(time::up), item.attention.as_ref());
    let (partition, sort) = (attention.map(|key| &key.partition), attention.map(|key| &key.sort));
    connection.prepare_cached(sql)?.execute((&key.partition, &key.sort, expires, partition, sort, &item.body))
}

fn update(connection: &Connection, key: &Key, rev: u64, item: &Item) -> rusqlite::Result<usize> {
    let sql = "UPDATE items SET rev = rev + 1, expires = ?4, trouble_pk = ?5, trouble_sk = ?6, body = ?7 \
        WHERE pk = ?1 AND sk = ?2 AND rev = ?3";
    let (expires, attention) = (item.expires.map(time::up), item.attention.as_ref());
    let (partition, sort) = (attention.map(|key| &key.partition), attention.map(|key| &key.sort));
    connection.prepare_cached(sql)?.execute((&key.partition, &key.sort, rev, expires, partition, sort, &item.body))
}

/// Writes all effects of one commit.
pub(super) fn effects<'a>(
    connection: &Connection,
    effects: &Effects,
    (ids, due): (&mut MessageIds, &mut impl Iterator<Item = DueTime>),
    placed: &mut Vec<(i64, DueTime)>,
    acks: &mut impl Iterator<Item = &'a Option<PendingAck>>,
) -> rusqlite::Result<()> {
    effects.put.iter().try_for_each(|item| put(connection, item))?;
    effects.publish.iter().try_for_each(|event| publish(connection, event))?;
    effects.put_published.iter().try_for_each(|item| put(connection, item))?;
    for (message, due) in effects.send.iter().zip(due) {
        let id = ids.give(connection)?;
        let sql = "INSERT INTO messages (id, lane, grp, visible_at, waiting, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        connection.prepare_cached(sql)?.execute((
            id,
            lanes::name(message.lane),
            &message.group,
            due.visible_at,
            due.waiting,
            &message.body,
        ))?;
        placed.push((id, due));
    }
    for key in &effects.delete {
        let sql = "DELETE FROM items WHERE pk = ?1 AND sk = ?2";
        connection.prepare_cached(sql)?.execute((&key.partition, &key.sort))?;
    }
    for ack in acks.take(effects.acks.len()).flatten() {
        write_ack(connection, ack)?;
    }
    Ok(())
}

fn publish(connection: &Connection, event: &Published) -> rusqlite::Result<()> {
    let sql = "INSERT INTO bus (at, detail_type, detail) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute((event.time.to_string(), &event.detail_type, event.detail.to_string()))?;
    Ok(())
}

fn put(connection: &Connection, item: &Item) -> rusqlite::Result<()> {
    let sql = "INSERT INTO items (pk, sk, rev, expires, trouble_pk, trouble_sk, body) VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6) \
        ON CONFLICT (pk, sk) DO UPDATE SET rev = rev + 1, expires = excluded.expires, trouble_pk = excluded.trouble_pk, \
        trouble_sk = excluded.trouble_sk, body = excluded.body";
    let (expires, attention) = (item.expires.map(time::up), item.attention.as_ref());
    let (partition, sort) = (attention.map(|key| &key.partition), attention.map(|key| &key.sort));
    connection.prepare_cached(sql)?.execute((&item.key.partition, &item.key.sort, expires, partition, sort, &item.body))?;
    Ok(())
}

fn write_ack(connection: &Connection, ack: &PendingAck) -> rusqlite::Result<()> {
    match ack.defer_to {
        None => connection.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([ack.id])?,
        Some(due) => connection.prepare_cached("UPDATE messages SET visible_at = ?2, waiting = ?3 WHERE id = ?1")?.execute((
            ack.id,
            due.visible_at,
            due.waiting,
        ))?,
    };
    Ok(())
}

/// Removes a bounded number of expired items, and of events that were on the bus for [`BUS_DAYS`].
pub(super) fn purge(connection: &Connection, until: i64) -> rusqlite::Result<usize> {
    let old = time::read(until).saturating_sub(SignedDuration::from_hours(24 * BUS_DAYS)).unwrap_or(Timestamp::MIN);
    // The oldest come first: the first event that isn't old ends the search.
    let sql = "DELETE FROM bus WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM bus ORDER BY seq LIMIT ?2) WHERE at < ?1)";
    let events = connection.prepare_cached(sql)?.execute((old.to_string(), PURGE))?;
    let sql = "DELETE FROM items WHERE id IN (SELECT id FROM items WHERE expires <= ?1 ORDER BY expires LIMIT ?2)";
    Ok(events + connection.prepare_cached(sql)?.execute((until, PURGE))?)
}
