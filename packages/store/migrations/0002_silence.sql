-- Up Migration

-- Declared lost: not heard of for the lost limit. What runs there keeps its devices until its end is confirmed, but jobs whose
-- `recovery.partition` is `supersede` go on without it. Null again as soon as the node is heard of and nothing old lives there.
ALTER TABLE nodes ADD COLUMN lost_since timestamptz;
CREATE INDEX nodes_lost ON nodes (name) WHERE lost_since IS NOT NULL;

-- Whether paused starts wait for unreachable shards as well: the store is known to be older than what runs.
ALTER TABLE cluster ADD COLUMN must_report boolean NOT NULL DEFAULT false;

-- Down Migration

ALTER TABLE cluster DROP COLUMN must_report;
DROP INDEX nodes_lost;
ALTER TABLE nodes DROP COLUMN lost_since;
