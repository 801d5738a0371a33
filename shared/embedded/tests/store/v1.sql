-- A file as the first version wrote it, with a row of each kind.
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE items (pk TEXT NOT NULL, sk TEXT NOT NULL, rev INTEGER NOT NULL, expires INTEGER, trouble_pk TEXT, trouble_sk TEXT,
    body TEXT NOT NULL, PRIMARY KEY (pk, sk)) STRICT, WITHOUT ROWID;
CREATE INDEX items_trouble ON items (trouble_pk, trouble_sk) WHERE trouble_pk IS NOT NULL;
CREATE INDEX items_expires ON items (expires) WHERE expires IS NOT NULL;
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, lane TEXT NOT NULL CHECK (lane IN ('events', 'delivery', 'retry')),
    grp TEXT NOT NULL, visible_at INTEGER NOT NULL, waiting INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX messages_group ON messages (lane, grp, visible_at, id);
CREATE INDEX messages_waiting ON messages (visible_at, id, lane, grp) WHERE waiting = 1;
CREATE TABLE bus (seq INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, detail_type TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
INSERT INTO meta VALUES ('run', 41);
INSERT INTO items VALUES ('C#1', 'D#9', 3, 1795348800000000, 'failed#0', '2026#D#9', '{"f":1}');
INSERT INTO messages VALUES (7, 'retry', 'g', 1795338000000000, 1, '{"m":7}'), (9, 'delivery', 'g', 1795337940000000, 0, '{"m":9}');
INSERT INTO bus VALUES (5, '2026-11-22T09:00:00Z', 'Receiver Down', '{"host":"a.example"}');
PRAGMA user_version = 1;
