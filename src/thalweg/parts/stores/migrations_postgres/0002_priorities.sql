-- Priorities of trials that nobody works on. What waits already has waited longest.
ALTER TABLE trial ADD COLUMN due double precision;
UPDATE trial SET due = 0 WHERE status < 2;
CREATE INDEX trial_queued ON trial (study, due, number) WHERE status < 2 AND owner IS NULL;
