-- Items in the order in which they are made: a new one is written beside the last one, whatever its key, and few pages change. Only the
-- index of the keys is in the order of the keys.
CREATE TABLE items_2 (
    id         INTEGER PRIMARY KEY,
    pk         TEXT NOT NULL,
    sk         TEXT NOT NULL,
    rev        INTEGER NOT NULL,
    expires    INTEGER,
    trouble_pk TEXT,
    trouble_sk TEXT,
    body       TEXT NOT NULL
) STRICT;
INSERT INTO items_2 (pk, sk, rev, expires, trouble_pk, trouble_sk, body)
    SELECT pk, sk, rev, expires, trouble_pk, trouble_sk, body FROM items;
DROP TABLE items;
ALTER TABLE items_2 RENAME TO items;
CREATE UNIQUE INDEX items_key ON items (pk, sk);
CREATE INDEX items_trouble ON items (trouble_pk, trouble_sk) WHERE trouble_pk IS NOT NULL;
CREATE INDEX items_expires ON items (expires) WHERE expires IS NOT NULL;

-- Ids of messages are given by the program, which reserves many at a time: `message_id` is the last one reserved. The id of a message that is
-- gone is never given again.
INSERT INTO meta (name, value) SELECT 'message_id', coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0);
CREATE TABLE messages_2 (
    id         INTEGER PRIMARY KEY,
    lane       TEXT NOT NULL CHECK (lane IN ('events', 'delivery', 'retry')),
    grp        TEXT NOT NULL,
    visible_at INTEGER NOT NULL,
    waiting    INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
INSERT INTO messages_2 SELECT id, lane, grp, visible_at, waiting, body FROM messages;
DROP TABLE messages;
ALTER TABLE messages_2 RENAME TO messages;
CREATE INDEX messages_group ON messages (lane, grp, visible_at, id);
CREATE INDEX messages_waiting ON messages (visible_at, id, lane, grp) WHERE waiting = 1;
