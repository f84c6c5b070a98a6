-- name: list_studies
-- Every study, oldest first, with what its crc covers. Bytes instead of text: damaged ones are no text.
SELECT
    id, CAST(name AS BLOB), CAST(spec AS BLOB), CAST(fingerprint AS BLOB), created_unixtime, revision, crc
FROM study ORDER BY id;

-- name: lost_studies
-- Studies of which nothing but their rows in other tables is left.
SELECT study FROM counter WHERE study NOT IN (SELECT id FROM study) ORDER BY study;

-- name: find_study
-- The study called ?1.
SELECT
    id, CAST(name AS BLOB), CAST(spec AS BLOB), CAST(fingerprint AS BLOB), created_unixtime, revision, crc
FROM study WHERE name = ?1;

-- name: get_study
SELECT
    id, CAST(name AS BLOB), CAST(spec AS BLOB), CAST(fingerprint AS BLOB), created_unixtime, revision, crc
FROM study WHERE id = ?1;

-- name: add_study
INSERT INTO study (name, spec, fingerprint, created_unixtime, revision, crc) VALUES (?1, ?2, ?3, ?4, 0, ?5);

-- name: set_study
UPDATE study SET spec = ?2, fingerprint = ?3, revision = ?4, crc = ?5 WHERE id = ?1;

-- name: add_counter
INSERT INTO counter (study, next, used, version, sequence, budget, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: get_counter
-- And how the member with the token ?2 stands: 0 it is there, 1 it has left, NULL its place is another's.
SELECT next, used, version, sequence, budget, crc, (SELECT gone FROM member WHERE token = ?2)
FROM counter WHERE study = ?1;

-- name: set_counter
UPDATE counter SET next = ?2, used = ?3, version = ?4, sequence = ?5, budget = ?6, crc = ?7 WHERE study = ?1;

-- name: count_again
-- What the counter of study ?1 must be at least, from its rows: used when its own row is damaged.
SELECT
    coalesce((SELECT max(number) + 1 FROM trial WHERE study = ?1), 0),
    (SELECT count(*) FROM trial WHERE study = ?1 AND counted = 1),
    coalesce((SELECT max(version) FROM trial WHERE study = ?1), 0),
    coalesce((SELECT max(sequence) FROM log WHERE study = ?1), 0),
    NULL;

-- name: standing
-- The revision of study ?1, and how many have joined it and have not left.
SELECT revision, (SELECT count(*) FROM member WHERE study = ?1 AND gone = 0) FROM study WHERE id = ?1;

-- name: delete_study
DELETE FROM study WHERE id = ?1;

-- name: delete_counter
DELETE FROM counter WHERE study = ?1;

-- name: delete_members
DELETE FROM member WHERE study = ?1;

-- name: delete_trials
DELETE FROM trial WHERE study = ?1;

-- name: delete_log
DELETE FROM log WHERE study = ?1;

-- name: delete_snapshot
DELETE FROM snapshot WHERE study = ?1;

-- name: list_members
-- Every place of study ?1 that was ever taken.
SELECT token, study, ordinal, note, pid, alone, joined_unixtime, lease_s, beat_s, boot, gone, crc
FROM member WHERE study = ?1 ORDER BY ordinal;

-- name: find_member
SELECT token, study, ordinal, note, pid, alone, joined_unixtime, lease_s, beat_s, boot, gone, crc
FROM member WHERE token = ?1;

-- name: present_tokens
-- The tokens of everybody, in any study, who has not left.
SELECT token FROM member WHERE gone = 0;

-- name: clear_place
DELETE FROM member WHERE study = ?1 AND ordinal = ?2;

-- name: add_member
INSERT INTO member
(study, ordinal, note, pid, alone, joined_unixtime, lease_s, beat_s, boot, gone, crc)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0);

-- name: set_member
UPDATE member SET beat_s = ?2, boot = ?3, gone = ?4, crc = ?5 WHERE token = ?1 AND gone = 0;

-- name: count_open
-- Owner (NULL: queued) and how many open trials it has.
SELECT owner, count(*) FROM trial WHERE study = ?1 AND status < 2 GROUP BY owner;

-- name: open_owners
-- Every owner of an open trial of study ?1, hopping from one to the next in the index.
WITH RECURSIVE hop (owner) AS (
    SELECT (SELECT min(owner) FROM trial WHERE study = ?1 AND status < 2 AND owner >= 0)
    UNION ALL
    SELECT (SELECT min(owner) FROM trial WHERE study = ?1 AND status < 2 AND owner > hop.owner)
    FROM hop WHERE hop.owner IS NOT NULL
)
SELECT owner FROM hop WHERE owner IS NOT NULL;

-- name: queued_trials
-- Open trials of nobody, in their order, of the numbers in the JSON array ?2 (NULL: any), at most ?3.
SELECT number, status, CAST(opening AS BLOB), opening_crc, CAST(result AS BLOB), result_crc, attempt, owner
FROM trial INDEXED BY trial_queued
WHERE study = ?1 AND status < 2 AND owner IS NULL AND (?2 IS NULL OR number IN (SELECT value FROM json_each(?2)))
ORDER BY due, number LIMIT ?3;

-- name: owned_trials
-- Open trials of owner ?2, of the numbers in the JSON array ?3 (NULL: any), at most ?4.
SELECT number, status, CAST(opening AS BLOB), opening_crc, CAST(result AS BLOB), result_crc, attempt, owner
FROM trial INDEXED BY trial_open
WHERE study = ?1 AND status < 2 AND owner = ?2 AND (?3 IS NULL OR number IN (SELECT value FROM json_each(?3)))
ORDER BY number LIMIT ?4;

-- name: claim_trial
UPDATE trial SET owner = ?3, writer = ?3, attempt = ?4, version = ?5, result_crc = ?6
WHERE study = ?1 AND number = ?2;

-- name: open_trial
INSERT INTO trial
(study, number, status, version, counted, digest, opening, opening_crc, result_crc, attempt, owner, writer, due)
VALUES (?1, ?2, 0, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10);

-- name: add_trial
-- A trial from elsewhere, as a whole; outside the budget.
INSERT INTO trial
(study, number, status, version, counted, digest, opening, opening_crc, result, result_crc, attempt, writer)
VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10, ?11);

-- name: same_point
-- The trial of study ?1 that has the point with the digest ?2.
SELECT number FROM trial INDEXED BY trial_digest WHERE digest = ?2 AND study = ?1 AND status < 6
ORDER BY number LIMIT 1;

-- name: finish_own
-- The usual case: an open trial that belongs to who ends it, at its first attempt.
UPDATE trial
SET status = ?3, version = ?4, result = ?5, result_crc = ?6, attempt = ?7, owner = NULL, writer = ?8
WHERE study = ?1 AND number = ?2 AND status < 2 AND owner IS ?8 AND attempt < 2;

-- name: finish_any
UPDATE trial
SET status = ?3, version = ?4, result = ?5, result_crc = ?6, attempt = ?7, owner = NULL, writer = ?8
WHERE study = ?1 AND number = ?2 AND status < 2;

-- name: get_trial
SELECT number, status, CAST(opening AS BLOB), opening_crc, CAST(result AS BLOB), result_crc, attempt, owner, version
FROM trial WHERE study = ?1 AND number = ?2;

-- name: release_trial
-- What is left tells others that it is gone. ?5: of this owner only, unless ?6.
UPDATE trial
SET status = 6, version = ?3, counted = 0, result_crc = ?4, owner = NULL, writer = ?5
WHERE study = ?1 AND number = ?2 AND status < 2 AND (?6 OR owner IS ?5);

-- name: retract_trial
UPDATE trial SET status = 6, version = ?3, counted = 0, result_crc = ?4, writer = NULL WHERE study = ?1 AND number = ?2;

-- name: takes_place
SELECT counted FROM trial WHERE study = ?1 AND number = ?2;

-- name: all_trials
-- Bytes instead of text: what a crc is taken of, and what the decoder wants. ?2: leave out what it wrote.
-- ?3: what is left of released ones, too.
SELECT number, status, CAST(opening AS BLOB), opening_crc, CAST(result AS BLOB), result_crc, attempt, owner
FROM trial
WHERE study = ?1 AND (?2 IS NULL OR writer IS NOT ?2) AND (?3 OR status < 6 OR result IS NOT NULL) ORDER BY number;

-- name: changed_trials
SELECT number, status, CAST(opening AS BLOB), opening_crc, CAST(result AS BLOB), result_crc, attempt, owner
FROM trial INDEXED BY trial_version
WHERE study = ?1 AND version > ?3 AND (?2 IS NULL OR writer IS NOT ?2) ORDER BY number;

-- name: lookup
-- Final trials with the digest ?2 in studies with the fingerprint ?1; those with values first, then the oldest.
SELECT
    trial.study, trial.number, trial.status, CAST(trial.opening AS BLOB), trial.opening_crc,
    CAST(trial.result AS BLOB), trial.result_crc, trial.attempt, trial.owner
FROM trial INNER JOIN study ON trial.study = study.id
WHERE trial.digest = ?2 AND trial.status >= 2 AND trial.status < 6 AND study.fingerprint = ?1
ORDER BY trial.status, trial.study, trial.number;

-- name: add_entry
INSERT INTO log (study, sequence, kind, time_unixtime, body, "by", crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: list_entries
-- After sequence ?2 (line 0 is the study's own row, for `repair`); of the kinds in the JSON array ?3, or of all when it is NULL; of the ordinal ?4, or of all.
SELECT sequence, CAST(kind AS BLOB), time_unixtime, CAST(body AS BLOB), "by", crc FROM log
WHERE
    study = ?1 AND sequence > ?2 AND (?3 IS NULL OR kind IN (SELECT value FROM json_each(?3)))
    AND (?4 IS NULL OR "by" = ?4)
ORDER BY sequence;

-- name: keep_snapshot
-- An older state never replaces a newer one.
INSERT INTO snapshot (study, "by", sequence, body, crc) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (study, "by") DO UPDATE SET sequence = excluded.sequence, body = excluded.body, crc = excluded.crc
WHERE excluded.sequence >= snapshot.sequence;

-- name: get_snapshot
SELECT sequence, CAST(body AS BLOB), crc FROM snapshot WHERE study = ?1 AND "by" = ?2;

-- name: list_snapshots
SELECT "by", sequence, CAST(body AS BLOB), crc FROM snapshot WHERE study = ?1 ORDER BY "by";
