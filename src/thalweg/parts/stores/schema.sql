-- One file holds any number of studies. This is the newest form; migrations/ leads older files here.
-- JSON is text, so a file can be searched with grep and read with json_extract; the view `trials` is made for people.
-- Every crc is zlib's CRC-32 of the row's text (see _rows.py): one flipped bit is found, which SQLite alone does not do.

CREATE TABLE study (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice, so a deleted study is never mistaken for a new one
    name TEXT NOT NULL UNIQUE,
    spec TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_unixtime REAL NOT NULL,
    crc INTEGER NOT NULL
) STRICT;

CREATE INDEX study_fingerprint ON study (fingerprint);

-- What the next trial, change and log line of a study get; changed in the same transaction as they are.
CREATE TABLE counter (
    study INTEGER PRIMARY KEY REFERENCES study (id),
    next INTEGER NOT NULL,
    used INTEGER NOT NULL,
    version INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    crc INTEGER NOT NULL
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
    result TEXT,              -- {"values": [...], "seconds": 0.1, ...}; NULL while it is open
    result_crc INTEGER,
    attempt INTEGER NOT NULL DEFAULT 1,
    owner TEXT,               -- who works on it, until when, and the token that proves it
    token BLOB,
    lease_until REAL,
    PRIMARY KEY (study, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX trial_open ON trial (study, number) WHERE status < 2;
CREATE INDEX trial_version ON trial (study, version);
CREATE INDEX trial_digest ON trial (digest) WHERE status >= 2;

-- The history; nothing in it is ever changed.
CREATE TABLE log (
    study INTEGER NOT NULL REFERENCES study (id),
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    time_unixtime REAL NOT NULL,
    body TEXT NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (study, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshot (
    study INTEGER PRIMARY KEY REFERENCES study (id),
    sequence INTEGER NOT NULL,
    body TEXT NOT NULL,
    crc INTEGER NOT NULL
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
