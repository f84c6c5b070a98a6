-- One file holds any number of studies. This is the newest form; migrations/ leads older files here.
-- JSON is text, so a file can be searched with grep and read with json_extract; the view `trials` is made for people.
-- Every crc is zlib's CRC-32 of the row's text (see _rows.py): one flipped bit is found, which SQLite alone does not do.

CREATE TABLE study (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice, so a deleted study is never mistaken for a new one
    name TEXT NOT NULL UNIQUE,
    spec TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_unixtime REAL NOT NULL,
    crc INTEGER NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0 -- how often its spec was changed
) STRICT;

CREATE INDEX study_fingerprint ON study (fingerprint);

-- What the next trial, change and log line of a study get; changed in the same transaction as they are.
CREATE TABLE counter (
    study INTEGER PRIMARY KEY REFERENCES study (id),
    next INTEGER NOT NULL,
    used INTEGER NOT NULL,
    version INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    budget INTEGER -- for those who were given none themselves
) STRICT;

-- Who takes part. A row stays when its member leaves or dies, until the next one takes the place.
CREATE TABLE member (
    token INTEGER PRIMARY KEY AUTOINCREMENT, -- of this life; never given twice, and it only grows
    study INTEGER NOT NULL REFERENCES study (id),
    ordinal INTEGER NOT NULL,
    note TEXT NOT NULL,
    pid INTEGER NOT NULL,
    alone INTEGER NOT NULL,
    joined_unixtime REAL NOT NULL,
    lease_s REAL NOT NULL,
    beat_s REAL NOT NULL, -- when it was last heard of, by the monotonic clock of the boot
    boot TEXT NOT NULL,
    gone INTEGER NOT NULL, -- 1: it left, or died and was buried
    crc INTEGER NOT NULL,
    UNIQUE (study, ordinal)
) STRICT;

CREATE TABLE trial (
    study INTEGER NOT NULL REFERENCES study (id),
    number INTEGER NOT NULL,
    status INTEGER NOT NULL,  -- thalweg.core.batch.Status; from 2 on it is final
    version INTEGER NOT NULL, -- of the study, when this row last changed
    counted INTEGER NOT NULL, -- 1: it takes a place in the budget
    digest BLOB NOT NULL,     -- thalweg.core.store.digest
    opening TEXT NOT NULL,    -- {"params": {...}, "ticket": 3, ...}
    opening_crc INTEGER NOT NULL,
    result TEXT,              -- {"values": [...], "seconds": 0.1, ...}; NULL: it is open, or was released (status 6)
    result_crc INTEGER,       -- while it is open: of owner and attempt
    attempt INTEGER NOT NULL DEFAULT 1, -- 0: it is queued
    owner INTEGER,            -- the token of the member that works on it (0: one from before there were any)
    writer INTEGER,           -- the token of the member that changed this row last
    due REAL,                 -- when it was opened, less 60 s for each unit of priority: the order while nobody has it
    PRIMARY KEY (study, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX trial_open ON trial (study, owner, number) WHERE status < 2;
CREATE INDEX trial_queued ON trial (study, due, number) WHERE status < 2 AND owner IS NULL;
CREATE INDEX trial_version ON trial (study, version);
CREATE INDEX trial_digest ON trial (digest, study);

-- The history; nothing in it is ever changed. Line 0 says what the study's own row does.
CREATE TABLE log (
    study INTEGER NOT NULL REFERENCES study (id),
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    time_unixtime REAL NOT NULL,
    body TEXT NOT NULL,
    crc INTEGER NOT NULL,
    "by" INTEGER NOT NULL DEFAULT 0, -- the ordinal of the member it is about
    PRIMARY KEY (study, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot (
    study INTEGER NOT NULL REFERENCES study (id),
    "by" INTEGER NOT NULL, -- the ordinal of the member whose strategy it is
    sequence INTEGER NOT NULL,
    body TEXT NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (study, "by")
) STRICT;

CREATE VIEW trials AS
SELECT
    study.name AS study,
    trial.number,
    CASE trial.status
        WHEN 0 THEN 'waiting' WHEN 1 THEN 'running' WHEN 2 THEN 'done' WHEN 3 THEN 'failed'
        WHEN 4 THEN 'timeout' WHEN 5 THEN 'pruned' WHEN 6 THEN 'abandoned' ELSE trial.status
    END AS status,
    trial.opening -> '$.params' AS params,
    trial.result ->> '$.values[0]' AS value, -- minimised: a maximised objective has its sign turned
    trial.result -> '$.values' AS "values",
    trial.result ->> '$.seconds' AS seconds,
    trial.result ->> '$.error' AS error
FROM trial INNER JOIN study ON trial.study = study.id;
