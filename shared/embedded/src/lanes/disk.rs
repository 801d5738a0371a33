//! The queries of the lanes on the database file.

use rusqlite::Connection;

use super::{by_name, group::Place};

/// Messages that one sweep examines at most.
pub(super) const SWEEP: usize = 1_000;
/// Bytes of bodies that one loading reads at most, the last message aside.
const LOAD_BYTES: usize = 1 << 20;

/// Returns the time of the newest message that was due when it was written: about the time of the last use of the store.
pub(super) fn last_written(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce((SELECT visible_at FROM messages WHERE waiting = 0 ORDER BY id DESC LIMIT 1), 0)";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Returns the number of messages of each lane.
pub(super) fn totals(connection: &Connection) -> rusqlite::Result<Vec<(usize, usize)>> {
    let mut statement = connection.prepare("SELECT lane, count(*) FROM messages GROUP BY lane")?;
    let rows = statement.query_map([], |row| Ok((by_name(row.get_ref(0)?.as_str()?), row.get(1)?)))?;
    rows.filter_map(|row| row.map(|(lane, count)| Some((lane?, count))).transpose()).collect()
}

/// Returns the number of messages of each lane that wait on disk.
pub(super) fn waiting(connection: &Connection, clock: i64) -> rusqlite::Result<[usize; 3]> {
    let sql = "SELECT lane, count(*) FROM messages WHERE waiting = 1 AND visible_at > ?1 GROUP BY lane";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([clock])?;
    let mut counts = [0; 3];
    while let Some(row) = rows.next()? {
        if let Some(lane) = by_name(row.get_ref(0)?.as_str()?) {
            counts[lane] = row.get(1)?;
        }
    }
    Ok(counts)
}

/// Names every group that has messages, jumping from one to the next on the index.
pub(super) fn groups(connection: &Connection, mut found: impl FnMut(usize, String)) -> rusqlite::Result<()> {
    let sql = "SELECT lane, grp FROM messages WHERE (lane, grp) > (?1, ?2) ORDER BY lane, grp LIMIT 1";
    let mut statement = connection.prepare(sql)?;
    let (mut lane, mut group) = (String::new(), String::new());
    loop {
        let mut rows = statement.query((&lane, &group))?;
        let Some(row) = rows.next()? else { return Ok(()) };
        (lane, group) = (row.get(0)?, row.get(1)?);
        if let Some(lane) = by_name(&lane) {
            found(lane, group.clone());
        }
    }
}

/// The result of `load`.
pub(super) struct Loaded {
    pub(super) messages: Vec<(Place, String)>,
    /// The place at which the next loading begins; `None` if there is nothing more.
    pub(super) rest: Option<Place>,
}

/// Reads up to `want` messages of a group behind `after` that are due and not in memory, in order.
pub(super) fn load(
    connection: &Connection,
    (lane, group): (&str, &str),
    after: Place,
    now: i64,
    want: usize,
    is_known: impl Fn(i64) -> bool,
) -> rusqlite::Result<Loaded> {
    let sql = "SELECT visible_at, id, body FROM messages WHERE lane = ?1 AND grp = ?2 AND (visible_at, id) > (?3, ?4) \
        AND visible_at <= ?5 ORDER BY visible_at, id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((lane, group, after.visible_at, after.id, now))?;
    let mut loaded = Loaded { messages: Vec::new(), rest: None };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let place = Place { visible_at: row.get(0)?, id: row.get(1)? };
        if is_known(place.id) {
            continue;
        }
        let body: String = row.get(2)?;
        bytes += body.len();
        loaded.messages.push((place, body));
        if loaded.messages.len() >= want || bytes >= LOAD_BYTES {
            loaded.rest = Some(place);
            break;
        }
    }
    Ok(loaded)
}

/// The result of `sweep`.
pub(super) struct Swept {
    /// The messages that fell due: lane, group and place of each.
    pub(super) due: Vec<(usize, String, Place)>,
    /// The place up to which the sweep has looked.
    pub(super) up_to: Place,
    /// The time at which the next message falls due, or an earlier time.
    pub(super) next: Option<i64>,
}

/// Finds the messages behind `after` that fell due.
pub(super) fn sweep(connection: &Connection, after: Place, now: i64) -> rusqlite::Result<Swept> {
    let sql = "SELECT visible_at, id, lane, grp FROM messages WHERE waiting = 1 AND (visible_at, id) > (?1, ?2) \
        ORDER BY visible_at, id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((after.visible_at, after.id))?;
    let mut swept = Swept { due: Vec::new(), up_to: Place::end_of(now), next: None };
    while let Some(row) = rows.next()? {
        let place = Place { visible_at: row.get(0)?, id: row.get(1)? };
        if place.visible_at > now {
            swept.next = Some(place.visible_at);
            break;
        }
        if swept.due.len() == SWEEP {
            swept.up_to = place.before();
            swept.next = Some(place.visible_at);
            break;
        }
        if let Some(lane) = by_name(row.get_ref(2)?.as_str()?) {
            swept.due.push((lane, row.get(3)?, place));
        }
    }
    Ok(swept)
}
