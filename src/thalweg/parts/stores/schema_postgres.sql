-- One schema holds any number of studies. This is the newest form; migrations_postgres/ leads older ones here.
-- The tables are those of schema.sql (SQLite), and so are the texts and their crcs: JSON as text, since jsonb would change
-- the spelling of numbers and the order of keys. Rows are removed together, by hand: foreign keys would cost a look per row.

CREATE TABLE store (
    version integer NOT NULL, -- of the schema
    made_unixtime double precision NOT NULL
);

CREATE TABLE study (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never given twice
    name text NOT NULL UNIQUE,
    spec text NOT NULL,
    fingerprint text NOT NULL,
    created_unixtime double precision NOT NULL,
    crc bigint NOT NULL,
    revision bigint NOT NULL DEFAULT 0 -- how often its spec was changed
);

CREATE INDEX study_fingerprint ON study (fingerprint);

-- What the next trial, change and log line of a study get. Whoever writes anything of a study locks its row first, so
-- versions are committed in their order, and there are no deadlocks.
CREATE TABLE counter (
    study bigint PRIMARY KEY,
    next bigint NOT NULL,
    used bigint NOT NULL,
    version bigint NOT NULL,
    sequence bigint NOT NULL,
    crc bigint NOT NULL,
    budget bigint -- for those who were given none themselves
) WITH (fillfactor = 20); -- changed by every transaction: there is room for it on its page

-- The last call of each store object that writes: a call whose acknowledgement got lost finds here that it happened.
CREATE TABLE writer (
    id bigint PRIMARY KEY,
    call bigint NOT NULL,
    called timestamptz NOT NULL
) WITH (fillfactor = 20);

-- When the server began, each time, and when the first of us came back to it: from then on the others are waited for.
CREATE TABLE awake (
    began timestamptz PRIMARY KEY,
    seen timestamptz NOT NULL
);

CREATE SEQUENCE member_token; -- not rolled back: it only grows

-- Who takes part. A row stays when its member leaves or dies, until the next one takes the place. A member lives as long
-- as its session holds the advisory lock ('member'::regclass, token).
CREATE TABLE member (
    token bigint PRIMARY KEY,
    study bigint NOT NULL,
    ordinal bigint NOT NULL,
    note text NOT NULL,
    pid bigint NOT NULL,
    alone boolean NOT NULL,
    joined_unixtime double precision NOT NULL,
    lease_s double precision NOT NULL,
    beat_unixtime double precision NOT NULL, -- when it was last heard of, by the server's clock
    gone boolean NOT NULL, -- it left, or died and was buried
    UNIQUE (study, ordinal)
) WITH (fillfactor = 50);

CREATE TABLE trial (
    study bigint NOT NULL,
    number bigint NOT NULL,
    status smallint NOT NULL, -- thalweg.core.batch.Status; from 2 on it is final
    version bigint NOT NULL, -- of the study, when this row last changed
    counted boolean NOT NULL, -- it takes a place in the budget
    digest bytea NOT NULL, -- thalweg.core.store.digest
    opening text NOT NULL, -- {"params": {...}, "ticket": 3, ...}
    opening_crc bigint NOT NULL,
    result text, -- {"values": [...], "seconds": 0.1, ...}; NULL: it is open, or was released (status 6)
    result_crc bigint, -- while it is open: of owner and attempt
    attempt bigint NOT NULL DEFAULT 1, -- 0: it is queued
    owner bigint, -- the token of the member that works on it
    writer bigint, -- the token of the member that changed this row last
    due double precision, -- when it was opened, less 60 s for each unit of priority: the order while nobody has it
    PRIMARY KEY (study, number)
);

CREATE INDEX trial_open ON trial (study, owner, number) WHERE status < 2;
CREATE INDEX trial_queued ON trial (study, due, number) WHERE status < 2 AND owner IS NULL;
CREATE INDEX trial_version ON trial (study, version);
CREATE INDEX trial_digest ON trial (digest, study);

-- The history; nothing in it is ever changed.
CREATE TABLE log (
    study bigint NOT NULL,
    sequence bigint NOT NULL,
    kind text NOT NULL,
    time_unixtime double precision NOT NULL,
    body text NOT NULL,
    crc bigint NOT NULL,
    by bigint NOT NULL DEFAULT 0, -- the ordinal of the member it is about
    PRIMARY KEY (study, sequence)
);

CREATE TABLE snapshot (
    study bigint NOT NULL,
    by bigint NOT NULL, -- the ordinal of the member whose strategy it is
    sequence bigint NOT NULL,
    body text NOT NULL,
    crc bigint NOT NULL,
    PRIMARY KEY (study, by)
);

CREATE VIEW trials AS
SELECT
    study.name AS study,
    trial.number,
    CASE trial.status
        WHEN 0 THEN 'waiting' WHEN 1 THEN 'running' WHEN 2 THEN 'done' WHEN 3 THEN 'failed'
        WHEN 4 THEN 'timeout' WHEN 5 THEN 'pruned' WHEN 6 THEN 'abandoned' ELSE trial.status::text
    END AS status,
    trial.opening::json -> 'params' AS params,
    trial.result::json -> 'values' ->> 0 AS value, -- minimised: a maximised objective has its sign turned
    trial.result::json -> 'values' AS "values",
    trial.result::json ->> 'seconds' AS seconds,
    trial.result::json ->> 'error' AS error
FROM trial INNER JOIN study ON trial.study = study.id;
