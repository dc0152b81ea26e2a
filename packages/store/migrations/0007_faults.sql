-- Up Migration

-- When a shard was not heard of, written when it is heard of again: quiet of what ran there in that time proves nothing. Kept
-- here, so that a restart of the control plane neither begins a hang's clock anew nor counts the time that it was away.
CREATE TABLE shard_gaps (
  shard text COLLATE "C" NOT NULL REFERENCES shards ON DELETE CASCADE,
  began timestamptz NOT NULL,
  ended timestamptz NOT NULL,
  PRIMARY KEY (shard, ended)
);

-- Whoever it is that heard of the shard. Shorter than this is the time between two signs of life.
CREATE FUNCTION shard_was_silent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO shard_gaps (shard, began, ended) VALUES (NEW.name, OLD.last_seen, NEW.last_seen) ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER shard_was_silent AFTER UPDATE OF last_seen ON shards
  FOR EACH ROW WHEN (NEW.last_seen > OLD.last_seen + interval '5 s') EXECUTE FUNCTION shard_was_silent();

-- What the ranks of a worker took for a step of their own, newest first: [{"at": seconds since 1970, "ranks": {"3": seconds}}].
CREATE TABLE step_times (
  job text COLLATE "C" NOT NULL,
  worker text COLLATE "C" NOT NULL,
  attempt integer NOT NULL,
  windows jsonb NOT NULL DEFAULT '[]',
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (job, worker)
) WITH (fillfactor = 60);

-- The stacks of its processes are collected before it is killed.
ALTER TABLE workers ADD COLUMN inspect boolean NOT NULL DEFAULT false;

-- Held back from work that isn't preemptible, and lent to what is.
ALTER TABLE nodes ADD COLUMN spare boolean NOT NULL DEFAULT false;

-- Runs of repair hooks: one open at a time per node.
CREATE TABLE repairs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  node text COLLATE "C" NOT NULL REFERENCES nodes ON DELETE CASCADE,
  hook text NOT NULL,
  reason text NOT NULL,
  state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'waiting', 'passed', 'failed')),
  tries integer NOT NULL DEFAULT 0,
  said text,
  asked_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  CHECK ((ended_at IS NOT NULL) = (state IN ('passed', 'failed')))
);
CREATE INDEX repairs_of ON repairs (node, id);
CREATE UNIQUE INDEX repairs_open ON repairs (node) WHERE ended_at IS NULL;

-- Down Migration

DROP TABLE repairs, step_times, shard_gaps CASCADE;
DROP TRIGGER shard_was_silent ON shards;
DROP FUNCTION shard_was_silent;
ALTER TABLE nodes DROP COLUMN spare;
ALTER TABLE workers DROP COLUMN inspect;
