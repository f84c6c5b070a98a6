-- name: list_studies
-- Every study, oldest first, with what its crc covers.
SELECT id, name, spec, fingerprint, created_unixtime, crc FROM study ORDER BY id;

-- name: find_study
-- The study called ?1.
SELECT id, name, spec, fingerprint, created_unixtime, crc FROM study WHERE name = ?1;

-- name: add_study
INSERT INTO study (name, spec, fingerprint, created_unixtime, crc) VALUES (?1, ?2, ?3, ?4, ?5);

-- name: add_counter
INSERT INTO counter (study, next, used, version, sequence, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6);

-- name: get_counter
SELECT next, used, version, sequence, crc FROM counter WHERE study = ?1;

-- name: set_counter
UPDATE counter SET next = ?2, used = ?3, version = ?4, sequence = ?5, crc = ?6 WHERE study = ?1;

-- name: count_again
-- What the counter of study ?1 must be at least, from its rows: used when its own row is damaged.
SELECT
    coalesce((SELECT max(number) + 1 FROM trial WHERE study = ?1), 0),
    (SELECT count(*) FROM trial WHERE study = ?1 AND counted = 1),
    coalesce((SELECT max(version) FROM trial WHERE study = ?1), 0),
    coalesce((SELECT max(sequence) FROM log WHERE study = ?1), 0);

-- name: delete_study
DELETE FROM study WHERE id = ?1;

-- name: delete_counter
DELETE FROM counter WHERE study = ?1;

-- name: delete_trials
DELETE FROM trial WHERE study = ?1;

-- name: delete_log
DELETE FROM log WHERE study = ?1;

-- name: delete_snapshot
DELETE FROM snapshot WHERE study = ?1;

-- name: open_trial
INSERT INTO trial (study, number, status, version, counted, digest, opening, opening_crc)
VALUES (?1, ?2, 0, ?3, 1, ?4, ?5, ?6);

-- name: add_trial
-- A trial from elsewhere, as a whole; outside the budget.
INSERT INTO trial
(study, number, status, version, counted, digest, opening, opening_crc, result, result_crc, attempt)
VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10);

-- name: finish_trial
-- The first result wins: a final row is left as it is.
UPDATE trial
SET status = ?3, version = ?4, result = ?5, result_crc = ?6, attempt = ?7, owner = NULL, token = NULL, lease_until = NULL
WHERE study = ?1 AND number = ?2 AND status < 2;

-- name: has_trial
SELECT 1 FROM trial WHERE study = ?1 AND number = ?2;

-- name: release_trial
DELETE FROM trial WHERE study = ?1 AND number = ?2 AND status < 2;

-- name: all_trials
-- Bytes instead of text: what a crc is taken of, and what the decoder wants.
SELECT number, status, CAST(opening AS BLOB), opening_crc, CAST(result AS BLOB), result_crc
FROM trial WHERE study = ?1 ORDER BY number;

-- name: changed_trials
SELECT number, status, CAST(opening AS BLOB), opening_crc, CAST(result AS BLOB), result_crc
FROM trial INDEXED BY trial_version WHERE study = ?1 AND version > ?2 ORDER BY number;

-- name: lookup
-- Final trials with the digest ?2 in studies with the fingerprint ?1; those with values first, then the oldest.
SELECT
    trial.study, trial.number, trial.status,
    CAST(trial.opening AS BLOB), trial.opening_crc, CAST(trial.result AS BLOB), trial.result_crc
FROM trial INNER JOIN study ON trial.study = study.id
WHERE trial.digest = ?2 AND trial.status >= 2 AND trial.status < 6 AND study.fingerprint = ?1
ORDER BY trial.status, trial.study, trial.number;

-- name: add_entry
INSERT INTO log (study, sequence, kind, time_unixtime, body, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6);

-- name: list_entries
-- After sequence ?2; of the kinds in the JSON array ?3, or of all when it is NULL.
SELECT sequence, kind, time_unixtime, body, crc FROM log
WHERE study = ?1 AND sequence > ?2 AND (?3 IS NULL OR kind IN (SELECT value FROM json_each(?3)))
ORDER BY sequence;

-- name: keep_snapshot
-- An older state never replaces a newer one.
INSERT INTO snapshot (study, sequence, body, crc) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (study) DO UPDATE SET sequence = excluded.sequence, body = excluded.body, crc = excluded.crc
WHERE excluded.sequence >= snapshot.sequence;

-- name: get_snapshot
SELECT sequence, body, crc FROM snapshot WHERE study = ?1;
