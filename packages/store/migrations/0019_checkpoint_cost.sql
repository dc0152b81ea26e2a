-- Up Migration

-- What checkpoints cost a job: when the newest commit since its last step was accepted, and by how many seconds steps with a commit among
-- them took longer than others, newest first.
ALTER TABLE progress ADD COLUMN commit_at timestamptz, ADD COLUMN commit_costs float8[] NOT NULL DEFAULT '{}';

-- Down Migration

ALTER TABLE progress DROP COLUMN commit_at, DROP COLUMN commit_costs;
