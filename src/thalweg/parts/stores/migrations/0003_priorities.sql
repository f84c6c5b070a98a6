-- Priorities of trials that nobody works on; what a study is stands in its log, too. What waits already has waited longest.
ALTER TABLE trial ADD COLUMN due REAL;
UPDATE trial SET due = 0.0 WHERE status < 2;
CREATE INDEX trial_queued ON trial (study, due, number) WHERE status < 2 AND owner IS NULL;

INSERT INTO log (study, sequence, kind, time_unixtime, body, crc)
SELECT
    id, 0, 'spec', created_unixtime, spec_line(name, spec, fingerprint, revision),
    crc_of(id, 0, 'spec', created_unixtime, spec_line(name, spec, fingerprint, revision))
FROM study WHERE crc = study_crc(name, spec, fingerprint, created_unixtime, revision);
