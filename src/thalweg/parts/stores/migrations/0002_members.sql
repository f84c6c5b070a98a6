-- Members own trials; several strategies per study, each with a log and a snapshot; specs with revisions.
DROP VIEW trials;
DROP INDEX trial_open;
DROP INDEX trial_digest;

ALTER TABLE study ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counter ADD COLUMN budget INTEGER;
ALTER TABLE log ADD COLUMN "by" INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trial DROP COLUMN owner;
ALTER TABLE trial DROP COLUMN token;
ALTER TABLE trial DROP COLUMN lease_until;
ALTER TABLE trial ADD COLUMN owner INTEGER;
ALTER TABLE trial ADD COLUMN writer INTEGER;

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

-- A study that ran before had one member, which is gone.
INSERT INTO member
(study, ordinal, note, pid, alone, joined_unixtime, lease_s, beat_s, boot, gone, crc)
SELECT study, 0, '', 0, 0, 0.0, 0.0, 0.0, '', 1, 0 FROM counter WHERE next > 0;
UPDATE member SET
    crc = crc_of(token, study, ordinal, note, pid, alone, joined_unixtime, lease_s, beat_s, boot, gone);

-- What was open belongs to nobody who lives.
UPDATE trial SET owner = 0, result_crc = crc_of(0, attempt) WHERE status < 2;

ALTER TABLE snapshot RENAME TO old_snapshot;
CREATE TABLE snapshot (
    study INTEGER NOT NULL REFERENCES study (id),
    "by" INTEGER NOT NULL, -- the ordinal of the member whose strategy it is
    sequence INTEGER NOT NULL,
    body TEXT NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (study, "by")
) STRICT;
INSERT INTO snapshot (study, "by", sequence, body, crc) SELECT study, 0, sequence, body, crc FROM old_snapshot;
DROP TABLE old_snapshot;

CREATE INDEX trial_open ON trial (study, owner, number) WHERE status < 2;
CREATE INDEX trial_digest ON trial (digest, study);

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
