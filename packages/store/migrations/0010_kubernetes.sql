-- Up Migration

-- Shards are declared: clusters, with how to reach them and what of them is used in `config`.
ALTER TABLE shards ADD COLUMN version integer NOT NULL DEFAULT 1;

-- Since when the cluster that a node belongs to has not heard of it, though the cluster itself answers. Null: heard.
ALTER TABLE nodes ADD COLUMN away_since timestamptz;
CREATE INDEX nodes_away ON nodes (name) WHERE away_since IS NOT NULL;

-- Down Migration

DROP INDEX nodes_away;
ALTER TABLE nodes DROP COLUMN away_since;
ALTER TABLE shards DROP COLUMN version;
