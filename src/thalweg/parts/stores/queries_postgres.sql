-- name: find_store
-- The table that says that a schema is ours, if it is there.
SELECT 1 FROM pg_class INNER JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
WHERE pg_class.relname = 'store' AND pg_namespace.nspname = %(schema)s;

-- name: clock
-- The server's time.
SELECT extract(epoch FROM clock_timestamp())::float8;

-- name: find_schema
SELECT 1 FROM pg_namespace WHERE nspname = %(name)s;

-- name: get_version
SELECT version FROM store;

-- name: add_version
INSERT INTO store (version, made_unixtime) VALUES (%(version)s, extract(epoch FROM clock_timestamp()));

-- name: set_version
UPDATE store SET version = %(version)s;

-- name: say_awake
-- The server may have needed long to come back after a crash; what counts is since when it can be reached.
INSERT INTO awake (began, seen)
SELECT greatest(pg_postmaster_start_time(), stats_reset), clock_timestamp() FROM pg_stat_bgwriter
ON CONFLICT (began) DO NOTHING;

-- name: lock_space
-- The first half of the keys of members' locks: the table itself, so that no other program and no other schema has it.
SELECT 'member'::regclass::oid::int8;

-- name: get_call
-- The newest call of this writer that happened.
SELECT call FROM writer WHERE id = %(writer)s;

-- name: say_call
-- First in every transaction that must not happen twice. It changes no row where it has happened already; where an older
-- session of this writer is still at it, it waits for the end of that.
INSERT INTO writer (id, call, called) VALUES (%(writer)s, %(call)s, now())
ON CONFLICT (id) DO UPDATE SET call = excluded.call, called = excluded.called WHERE writer.call < excluded.call;

-- name: end_writer
-- It needs its row no more; nor do those that were killed long ago.
DELETE FROM writer WHERE id = %(writer)s OR called < now() - interval '400 days';

-- name: lock_counter
-- Who writes anything of a study waits here.
SELECT next, used, version, sequence, budget, crc, extract(epoch FROM clock_timestamp())::float8
FROM counter WHERE study = %(study)s FOR UPDATE;

-- name: get_counter
SELECT next, used, version, sequence, budget, crc FROM counter WHERE study = %(study)s;

-- name: add_counter
INSERT INTO counter (study, next, used, version, sequence, budget, crc)
VALUES (%(study)s, %(next)s, %(used)s, %(version)s, %(sequence)s, %(budget)s, %(crc)s);

-- name: set_counter
UPDATE counter SET
    next = %(next)s, used = %(used)s, version = %(version)s, sequence = %(sequence)s, budget = %(budget)s, crc = %(crc)s
WHERE study = %(study)s;

-- name: count_again
-- What the counter must be at least, from the study's rows: used when its own row is damaged.
SELECT
    coalesce((SELECT max(number) + 1 FROM trial WHERE study = %(study)s), 0),
    (SELECT count(*) FROM trial WHERE study = %(study)s AND counted),
    coalesce((SELECT max(version) FROM trial WHERE study = %(study)s), 0),
    coalesce((SELECT max(sequence) FROM log WHERE study = %(study)s), 0),
    NULL;

-- name: list_studies
-- Every study, oldest first, with what its crc covers.
SELECT id, name, spec, fingerprint, created_unixtime, revision, crc FROM study ORDER BY id;

-- name: find_study
SELECT id, name, spec, fingerprint, created_unixtime, revision, crc FROM study WHERE name = %(name)s;

-- name: get_study
SELECT id, name, spec, fingerprint, created_unixtime, revision, crc FROM study WHERE id = %(study)s;

-- name: add_study
-- No row comes back where another process has made it meanwhile.
INSERT INTO study (name, spec, fingerprint, created_unixtime, crc)
VALUES (%(name)s, %(spec)s, %(fingerprint)s, %(created)s, %(crc)s) ON CONFLICT (name) DO NOTHING RETURNING id;

-- name: set_study
UPDATE study SET spec = %(spec)s, fingerprint = %(fingerprint)s, revision = %(revision)s, crc = %(crc)s
WHERE id = %(study)s;

-- name: standing
SELECT
    counter.next, counter.used, counter.version, counter.sequence, counter.budget, counter.crc, study.revision,
    (SELECT count(*) FROM member WHERE member.study = %(study)s AND NOT member.gone)
FROM counter INNER JOIN study ON study.id = counter.study WHERE counter.study = %(study)s;

-- name: delete_study
DELETE FROM study WHERE id = %(study)s;

-- name: delete_counter
DELETE FROM counter WHERE study = %(study)s;

-- name: delete_members
DELETE FROM member WHERE study = %(study)s;

-- name: delete_trials
DELETE FROM trial WHERE study = %(study)s;

-- name: delete_log
DELETE FROM log WHERE study = %(study)s;

-- name: delete_snapshot
DELETE FROM snapshot WHERE study = %(study)s;

-- name: next_token
SELECT nextval('member_token');

-- name: list_members
-- Every place of the study that was ever taken. lives: its session holds its lock, or the server has just started and
-- the member has not had the time to come back (grace: seconds that it is given).  silent: seconds since it was heard of.
WITH held AS (
    SELECT objid::int8 AS token FROM pg_locks
    WHERE
        locktype = 'advisory' AND classid::int8 = %(space)s AND objsubid = 2 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
), began AS (
    -- a crash of one session makes the server begin anew, too: its counts begin anew then
    SELECT greatest(pg_postmaster_start_time(), stats_reset) AS moment FROM pg_stat_bgwriter
), started AS (
    SELECT extract(epoch FROM coalesce(awake.seen, began.moment))::float8 AS moment
    FROM began LEFT JOIN awake ON awake.began = began.moment
), clock AS (
    SELECT extract(epoch FROM clock_timestamp())::float8 AS moment
)
SELECT
    token, ordinal, note, pid, alone, joined_unixtime, lease_s, gone,
    NOT gone AND (
        (token & 4294967295) IN (SELECT token FROM held)
        OR (beat_unixtime < started.moment AND clock.moment < started.moment + %(grace)s)
    ),
    greatest(0.0, coalesce(%(now)s, clock.moment) - beat_unixtime)
FROM member, started, clock WHERE study = %(study)s ORDER BY ordinal;

-- name: has_member
SELECT 1 FROM member WHERE token = %(token)s AND NOT gone;

-- name: holds_place
-- Whether the place of this token is nobody else's, though it may have left.
SELECT 1 FROM member WHERE token = %(token)s;

-- name: take_place
INSERT INTO member (token, study, ordinal, note, pid, alone, joined_unixtime, lease_s, beat_unixtime, gone)
VALUES (
    %(token)s, %(study)s, %(ordinal)s, %(note)s, %(pid)s, %(alone)s, extract(epoch FROM clock_timestamp()), %(lease)s,
    coalesce(%(now)s, extract(epoch FROM clock_timestamp())), false
)
ON CONFLICT (study, ordinal) DO UPDATE SET
    token = excluded.token, note = excluded.note, pid = excluded.pid, alone = excluded.alone, joined_unixtime = excluded.joined_unixtime,
    lease_s = excluded.lease_s, beat_unixtime = excluded.beat_unixtime, gone = false;

-- name: beat
UPDATE member SET beat_unixtime = coalesce(%(now)s, extract(epoch FROM clock_timestamp()))
WHERE token = %(token)s AND NOT gone RETURNING token;

-- name: bury
UPDATE member SET gone = true WHERE token = ANY(%(tokens)s::int8[]) AND NOT gone;

-- name: take_lock
SELECT pg_try_advisory_lock(%(space)s, %(token)s);

-- name: free_lock
SELECT pg_advisory_unlock(%(space)s, %(token)s);

-- name: end_holder
-- An older session of our own may hold the lock still: the server has not noticed that its client is gone.
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE
    locktype = 'advisory' AND classid::int8 = %(space)s AND objid::int8 = %(token)s AND objsubid = 2 AND granted
    AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: count_open
-- Owner (NULL: queued) and how many open trials it has.
SELECT owner, count(*) FROM trial WHERE study = %(study)s AND status < 2 GROUP BY owner;

-- name: queued_trials
-- In their order, of the numbers given, or of all.
SELECT number, status, convert_to(opening, 'UTF8'), opening_crc, convert_to(result, 'UTF8'), result_crc, attempt, owner
FROM trial
WHERE study = %(study)s AND status < 2 AND owner IS NULL AND (%(numbers)s::int8[] IS NULL OR number = ANY(%(numbers)s::int8[]))
ORDER BY due, number LIMIT %(most)s;

-- name: open_owners
-- Every owner of an open trial, hopping from one to the next in the index.
WITH RECURSIVE hop (owner) AS (
    SELECT (SELECT min(owner) FROM trial WHERE study = %(study)s AND status < 2 AND owner >= 0)
    UNION ALL
    SELECT (SELECT min(owner) FROM trial WHERE study = %(study)s AND status < 2 AND owner > hop.owner)
    FROM hop WHERE hop.owner IS NOT NULL
)
SELECT owner FROM hop WHERE owner IS NOT NULL;

-- name: owned_trials
-- Of the numbers given, or of all.
SELECT number, status, convert_to(opening, 'UTF8'), opening_crc, convert_to(result, 'UTF8'), result_crc, attempt, owner
FROM trial
WHERE
    study = %(study)s AND status < 2 AND owner = ANY(%(owners)s::int8[])
    AND (%(numbers)s::int8[] IS NULL OR number = ANY(%(numbers)s::int8[]))
ORDER BY number LIMIT %(most)s;

-- name: own_trials
-- Open trials belong to the member `token`, or to nobody.
UPDATE trial SET
    owner = %(token)s, writer = %(token)s, attempt = row.attempt, version = %(version)s, result_crc = row.crc
FROM unnest(%(numbers)s::int8[], %(attempts)s::int8[], %(crcs)s::int8[]) AS row (number, attempt, crc)
WHERE trial.study = %(study)s AND trial.number = row.number AND trial.status < 2;

-- name: open_trials
-- One statement per batch. texts: a line each (JSON has no line breaks of its own).
INSERT INTO trial (study, number, status, version, counted, digest, opening, opening_crc, result_crc, attempt, owner, writer, due)
SELECT
    %(study)s, row.number, 0, %(version)s, true, decode(row.digest, 'hex'), row.opening, row.crc, %(state)s, %(attempt)s,
    %(token)s, %(token)s, %(due)s
FROM unnest(
    %(numbers)s::int8[], %(digests)s::text[], string_to_array(%(openings)s, chr(10)), %(crcs)s::int8[]
) AS row (number, digest, opening, crc);

-- name: add_trials
-- Trials from elsewhere, as a whole; outside the budget.
INSERT INTO trial
(study, number, status, version, counted, digest, opening, opening_crc, result, result_crc, attempt, writer)
SELECT
    %(study)s, row.number, row.status, %(version)s, false, decode(row.digest, 'hex'), row.opening, row.opening_crc,
    row.result, row.result_crc, row.attempt, %(token)s
FROM unnest(
    %(numbers)s::int8[], %(digests)s::text[], string_to_array(%(openings)s, chr(10)), %(crcs)s::int8[],
    %(statuses)s::int2[], string_to_array(%(results)s, chr(10)), %(result_crcs)s::int8[], %(attempts)s::int8[]
) AS row (number, digest, opening, opening_crc, status, result, result_crc, attempt);

-- name: same_points
-- The first trial that has each point.
SELECT DISTINCT ON (trial.digest) encode(trial.digest, 'hex'), trial.number
FROM unnest(%(digests)s::text[]) AS row (digest)
INNER JOIN trial ON trial.digest = decode(row.digest, 'hex') AND trial.study = %(study)s AND trial.status < 6
ORDER BY trial.digest, trial.number;

-- name: ending_trials
-- What is there of trials that end: enough to see whether all is as usual.
SELECT trial.number, trial.status, trial.attempt, trial.owner, trial.result IS NULL
FROM trial WHERE study = %(study)s AND number = ANY(%(numbers)s::int8[]);

-- name: some_trials
SELECT
    number, status, convert_to(opening, 'UTF8'), opening_crc, convert_to(result, 'UTF8'), result_crc, attempt, owner, counted
FROM trial WHERE study = %(study)s AND number = ANY(%(numbers)s::int8[]) ORDER BY number;

-- name: finish_trials
UPDATE trial SET
    status = row.status, version = %(version)s, result = row.result, result_crc = row.crc, attempt = row.attempt,
    owner = NULL, writer = %(token)s
FROM unnest(
    %(numbers)s::int8[], %(statuses)s::int2[], string_to_array(%(results)s, chr(10)), %(crcs)s::int8[],
    %(attempts)s::int8[]
) AS row (number, status, result, crc, attempt)
WHERE trial.study = %(study)s AND trial.number = row.number AND trial.status < 2;

-- name: releasable_trials
-- Open ones; with a token, only its own.
SELECT number, counted FROM trial
WHERE
    study = %(study)s AND number = ANY(%(numbers)s::int8[]) AND status < 2 AND (%(any)s OR owner = %(token)s)
ORDER BY number;

-- name: end_trials
-- Released or retracted ones. What is left of released ones tells others that they are gone.
UPDATE trial SET
    status = 6, version = %(version)s, counted = false, result_crc = row.crc, owner = NULL, writer = %(token)s
FROM unnest(%(numbers)s::int8[], %(crcs)s::int8[]) AS row (number, crc)
WHERE trial.study = %(study)s AND trial.number = row.number;

-- name: all_trials
-- Bytes instead of text: what a crc is taken of, and what the decoder wants. token: leave out what it wrote.
-- released: what is left of released ones, too.
SELECT number, status, convert_to(opening, 'UTF8'), opening_crc, convert_to(result, 'UTF8'), result_crc, attempt, owner
FROM trial
WHERE
    study = %(study)s AND (%(token)s::int8 IS NULL OR writer IS DISTINCT FROM %(token)s::int8)
    AND (%(released)s OR status < 6 OR result IS NOT NULL)
ORDER BY number;

-- name: changed_trials
SELECT number, status, convert_to(opening, 'UTF8'), opening_crc, convert_to(result, 'UTF8'), result_crc, attempt, owner
FROM trial
WHERE
    study = %(study)s AND version > %(version)s AND version <= %(newest)s
    AND (%(token)s::int8 IS NULL OR writer IS DISTINCT FROM %(token)s::int8)
ORDER BY number;

-- name: lookup
-- Final trials with these digests in studies with this fingerprint; those with values first, then the oldest.
SELECT
    trial.study, trial.number, trial.status, convert_to(trial.opening, 'UTF8'), trial.opening_crc,
    convert_to(trial.result, 'UTF8'), trial.result_crc, trial.attempt, trial.owner
FROM unnest(%(digests)s::text[]) AS row (digest)
INNER JOIN trial ON trial.digest = decode(row.digest, 'hex')
INNER JOIN study ON trial.study = study.id
WHERE trial.status >= 2 AND trial.status < 6 AND study.fingerprint = %(fingerprint)s
ORDER BY trial.status, trial.study, trial.number;

-- name: add_entries
INSERT INTO log (study, sequence, kind, time_unixtime, body, by, crc)
SELECT %(study)s, row.sequence, row.kind, row.moment, row.body, row.by, row.crc
FROM unnest(
    %(sequences)s::int8[], %(kinds)s::text[], %(moments)s::float8[], string_to_array(%(bodies)s, chr(10)),
    %(abouts)s::int8[], %(crcs)s::int8[]
) AS row (sequence, kind, moment, body, by, crc);

-- name: list_entries
-- After `after` (line 0 is the study's own row); of some kinds, or of all; of one ordinal, or of all.
SELECT sequence, convert_to(kind, 'UTF8'), time_unixtime, convert_to(body, 'UTF8'), by, crc FROM log
WHERE
    study = %(study)s AND sequence > %(after)s AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s::text[]))
    AND (%(by)s::int8 IS NULL OR by = %(by)s::int8)
ORDER BY sequence;

-- name: keep_snapshot
-- An older state never replaces a newer one, nor does one of a member (token) whose place is another's.
INSERT INTO snapshot (study, by, sequence, body, crc)
SELECT %(study)s, %(by)s, %(sequence)s, %(body)s, %(crc)s
WHERE %(token)s::int8 IS NULL OR EXISTS (SELECT 1 FROM member WHERE token = %(token)s::int8)
ON CONFLICT (study, by) DO UPDATE SET sequence = excluded.sequence, body = excluded.body, crc = excluded.crc
WHERE excluded.sequence >= snapshot.sequence;

-- name: get_snapshot
SELECT sequence, convert_to(body, 'UTF8'), crc FROM snapshot WHERE study = %(study)s AND by = %(by)s;

-- name: list_snapshots
SELECT by, sequence, convert_to(body, 'UTF8'), crc FROM snapshot WHERE study = %(study)s ORDER BY by;
