-- Up Migration

-- What kept the shard died, and none could be started in its place: its nodes are lost without waiting for silence.
ALTER TABLE shards ADD COLUMN dead_since timestamptz;

-- Since when a job holds the healthy nodes of its last attempt while a replacement for the others is looked for.
ALTER TABLE jobs ADD COLUMN holding_since timestamptz;

-- Down Migration

ALTER TABLE jobs DROP COLUMN holding_since;
ALTER TABLE shards DROP COLUMN dead_since;
