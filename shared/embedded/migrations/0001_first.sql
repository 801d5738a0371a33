-- Times are microseconds since 1970, UTC: datetime(expires / 1000000, 'unixepoch') reads them.

CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- The body stands last, so that a long one is not read through to reach the others.
CREATE TABLE items (
    pk         TEXT NOT NULL,
    sk         TEXT NOT NULL,
    rev        INTEGER NOT NULL,
    expires    INTEGER,
    trouble_pk TEXT,
    trouble_sk TEXT,
    body       TEXT NOT NULL,
    PRIMARY KEY (pk, sk)
) STRICT, WITHOUT ROWID;
CREATE INDEX items_trouble ON items (trouble_pk, trouble_sk) WHERE trouble_pk IS NOT NULL;
CREATE INDEX items_expires ON items (expires) WHERE expires IS NOT NULL;

-- AUTOINCREMENT: the id of a message that is gone is never given again. `waiting` is 1 if the message lay in the future when it
-- was written, so that what can be had at once never touches the index of what waits.
CREATE TABLE messages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    lane       TEXT NOT NULL CHECK (lane IN ('events', 'delivery', 'retry')),
    grp        TEXT NOT NULL,
    visible_at INTEGER NOT NULL,
    waiting    INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX messages_group ON messages (lane, grp, visible_at, id);
CREATE INDEX messages_waiting ON messages (visible_at, id, lane, grp) WHERE waiting = 1;

CREATE TABLE bus (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          TEXT NOT NULL,
    detail_type TEXT NOT NULL,
    detail      TEXT NOT NULL
) STRICT;
