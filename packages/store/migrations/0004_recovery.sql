-- Up Migration

-- What hangs are told from: when the step last rose in this attempt, and the seconds between the last rises, newest first. And
-- the last losses, newest first, in which a loss that is no number is NaN.
ALTER TABLE progress ADD COLUMN step_at timestamptz, ADD COLUMN intervals double precision[] NOT NULL DEFAULT '{}', ADD COLUMN losses double precision[] NOT NULL DEFAULT '{}';

-- When the step last rose, and what was found about a live attempt before it was ended for it (a hang).
ALTER TABLE attempts ADD COLUMN last_step_at timestamptz, ADD COLUMN found jsonb;

-- The check whose report set the node's health: only its own `ok` clears that. Null: a person, or Muster itself.
ALTER TABLE nodes ADD COLUMN health_check text;

-- The attempts that an incident ended, and how each of their jobs came back: seconds by phase, and device-seconds that it cost.
CREATE TABLE incident_attempts (
  incident text COLLATE "C" NOT NULL REFERENCES incidents ON DELETE CASCADE,
  job text COLLATE "C" NOT NULL,
  incarnation bigint NOT NULL,
  attempt integer NOT NULL,
  class text NOT NULL,
  project text COLLATE "C" NOT NULL,
  evidence jsonb NOT NULL DEFAULT '[]',
  devices double precision NOT NULL,
  -- when what ended it began, by the database's clock
  began_at timestamptz NOT NULL,
  phases jsonb NOT NULL DEFAULT '{}',
  device_seconds double precision NOT NULL DEFAULT 0,
  done_at timestamptz,
  PRIMARY KEY (job, incarnation, attempt)
);
CREATE INDEX incidents_recent ON incidents (opened_at);
CREATE INDEX incident_attempts_of ON incident_attempts (incident);
CREATE INDEX incident_attempts_open ON incident_attempts (job) WHERE done_at IS NULL;

-- Device-seconds lost to closed incidents by class: a counter that outlives the records that retention takes.
CREATE TABLE waste (
  class text PRIMARY KEY,
  incidents bigint NOT NULL DEFAULT 0,
  device_seconds double precision NOT NULL DEFAULT 0
);

-- Down Migration

DROP TABLE waste, incident_attempts;
DROP INDEX incidents_recent;
ALTER TABLE nodes DROP COLUMN health_check;
ALTER TABLE attempts DROP COLUMN last_step_at, DROP COLUMN found;
ALTER TABLE progress DROP COLUMN step_at, DROP COLUMN intervals, DROP COLUMN losses;
