-- Up Migration

-- One row: who this database is. An incarnation is never reused: seconds since 1970 in the high bits, random low bits.
CREATE TABLE cluster (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  incarnation bigint NOT NULL,
  -- set by `muster admin new-incarnation` and by a restore that was noticed: starts wait until every shard has reported
  starts_paused boolean NOT NULL DEFAULT false,
  starts_paused_reason text,
  -- signs attempt tokens and calls between services; never leaves the services
  secret bytea NOT NULL,
  settings jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Leadership and ownership. A holder acts only while expires_at is ahead of the database's clock; epoch is its fence.
CREATE TABLE leases (
  name text PRIMARY KEY,
  holder text NOT NULL,
  address text,
  epoch bigint NOT NULL DEFAULT 1,
  expires_at timestamptz NOT NULL
);

CREATE TABLE projects (
  name text COLLATE "C" PRIMARY KEY,
  number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
  description text NOT NULL DEFAULT '',
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE members (
  project text COLLATE "C" NOT NULL REFERENCES projects ON DELETE CASCADE,
  subject text COLLATE "C" NOT NULL,
  role text NOT NULL CHECK (role IN ('viewer', 'submitter', 'operator', 'admin')),
  PRIMARY KEY (project, subject)
);

CREATE TABLE tokens (
  id text COLLATE "C" PRIMARY KEY,
  hash bytea NOT NULL UNIQUE,
  subject text COLLATE "C" NOT NULL,
  -- null: every project
  project text COLLATE "C" REFERENCES projects ON DELETE CASCADE,
  role text NOT NULL CHECK (role IN ('viewer', 'submitter', 'operator', 'admin')),
  description text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz
);

CREATE TABLE queues (
  name text COLLATE "C" PRIMARY KEY,
  parent text COLLATE "C" REFERENCES queues,
  -- projects that may submit to it; ["*"] is all
  projects text[] NOT NULL DEFAULT '{}',
  paused boolean NOT NULL DEFAULT false,
  spec jsonb NOT NULL DEFAULT '{}',
  version integer NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT now(),
  CHECK (parent <> name)
);

CREATE TABLE pools (
  name text COLLATE "C" PRIMARY KEY,
  engine text NOT NULL,
  vendor text NOT NULL,
  accelerator text COLLATE "C" NOT NULL,
  spec jsonb NOT NULL DEFAULT '{}',
  version integer NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- One engine shard: an agent, or a cluster elsewhere. Its owner among the supervisors holds the lease `shard:<name>`.
CREATE TABLE shards (
  name text COLLATE "C" PRIMARY KEY,
  engine text NOT NULL,
  address text NOT NULL DEFAULT '',
  config jsonb NOT NULL DEFAULT '{}',
  -- observations up to here are recorded
  epoch text NOT NULL DEFAULT '',
  seq bigint NOT NULL DEFAULT 0,
  reachable boolean NOT NULL DEFAULT false,
  reported_incarnation bigint,
  last_seen timestamptz
);

CREATE TABLE nodes (
  name text COLLATE "C" PRIMARY KEY,
  pool text COLLATE "C" NOT NULL REFERENCES pools,
  shard text COLLATE "C" NOT NULL REFERENCES shards,
  -- names from the outermost level to the innermost, aligned with `fabric_levels` of the pool's site
  fabric text[] NOT NULL DEFAULT '{}',
  devices smallint NOT NULL CHECK (devices BETWEEN 0 AND 1024),
  device_memory bigint NOT NULL DEFAULT 0,
  -- thousandths of a cpu
  cpus integer NOT NULL CHECK (cpus >= 0),
  memory bigint NOT NULL CHECK (memory >= 0),
  labels jsonb NOT NULL DEFAULT '{}',
  address text NOT NULL DEFAULT '127.0.0.1',
  health text NOT NULL DEFAULT 'ready'
    CHECK (health IN ('ready', 'suspect', 'cordoned', 'draining', 'diagnosing', 'probation', 'retired')),
  health_reason text,
  health_actor text,
  health_since timestamptz NOT NULL DEFAULT now(),
  drain_deadline timestamptz,
  -- whether new work may go there: what the scheduler reads; kept apart from health
  schedulable boolean NOT NULL DEFAULT true,
  reachable boolean NOT NULL DEFAULT true,
  boot_id text,
  last_seen timestamptz,
  version integer NOT NULL DEFAULT 1,
  CHECK (schedulable = (health IN ('ready', 'suspect', 'probation'))),
  CHECK (health = 'ready' OR (health_reason IS NOT NULL AND health_actor IS NOT NULL))
);

-- What is held of a node, kept by the triggers on workers alone. The check is what makes a double assignment impossible.
CREATE TABLE node_usage (
  node text COLLATE "C" PRIMARY KEY REFERENCES nodes ON DELETE CASCADE,
  held smallint[] NOT NULL,
  cpus integer NOT NULL DEFAULT 0 CHECK (cpus >= 0),
  memory bigint NOT NULL DEFAULT 0 CHECK (memory >= 0),
  CONSTRAINT device_held_once CHECK (0 <= ALL (held) AND 1000 >= ALL (held))
) WITH (fillfactor = 50);

CREATE FUNCTION node_usage_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO node_usage (node, held) VALUES (NEW.name, array_fill(0::smallint, ARRAY[NEW.devices::int]));
  ELSIF NEW.devices <> OLD.devices THEN
    UPDATE node_usage SET held = CASE
        WHEN NEW.devices >= cardinality(held) THEN held || array_fill(0::smallint, ARRAY[NEW.devices - cardinality(held)])
        ELSE held[1:NEW.devices] END
      WHERE node = NEW.name
        AND NOT EXISTS (SELECT FROM unnest(held[NEW.devices + 1:]) AS h WHERE h > 0);
    IF NOT FOUND THEN
      RAISE EXCEPTION 'node % has work on devices beyond the first %', NEW.name, NEW.devices USING ERRCODE = 'MU003';
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER node_usage_follow AFTER INSERT OR UPDATE OF devices ON nodes
  FOR EACH ROW EXECUTE FUNCTION node_usage_follow();

-- Jobs, attempts and workers are partitioned by job id, which sorts by the time of submission.
CREATE TABLE jobs (
  id text COLLATE "C" PRIMARY KEY,
  project text COLLATE "C" NOT NULL REFERENCES projects,
  queue text COLLATE "C" NOT NULL REFERENCES queues,
  name text COLLATE "C" NOT NULL,
  submitter text NOT NULL,
  labels jsonb NOT NULL DEFAULT '{}',
  priority integer NOT NULL,
  priority_class text NOT NULL,
  preemptible boolean NOT NULL,
  array_id text COLLATE "C",
  array_index integer,
  array_limit integer,
  -- smallest and largest number of nodes and devices asked over all roles of the first variant, for lists
  nodes integer NOT NULL,
  devices integer NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'held', 'scheduled', 'starting', 'running', 'recovering', 'stopping',
    'suspended', 'succeeded', 'failed', 'cancelled')),
  state_since timestamptz NOT NULL DEFAULT now(),
  stop_target text CHECK (stop_target IN ('suspended', 'queued', 'held', 'resized', 'cancelled', 'failed', 'succeeded')),
  stop_reason text,
  conditions text[] NOT NULL DEFAULT '{}',
  incarnation bigint NOT NULL,
  attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  variant smallint,
  unmet_dependencies integer NOT NULL DEFAULT 0,
  -- not started before: start_after, or the end of a back-off
  not_before timestamptz,
  not_before_reason text,
  -- when the supervisor looks again: time limits, grace, hangs
  due_at timestamptz,
  wait_reason text,
  wait_since timestamptz,
  excluded_nodes text[] NOT NULL DEFAULT '{}',
  user_failures integer NOT NULL DEFAULT 0,
  infrastructure_failures integer NOT NULL DEFAULT 0,
  unknown_failures integer NOT NULL DEFAULT 0,
  failure jsonb,
  -- seconds of running in ended attempts
  ran_seconds double precision NOT NULL DEFAULT 0,
  submitted_at timestamptz NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  -- how it ended; indexes look at this and not at the state, so that a state change among the living touches no index
  final text GENERATED ALWAYS AS (CASE WHEN state IN ('succeeded', 'failed', 'cancelled') THEN state END) STORED,
  CHECK ((stop_target IS NOT NULL) = (state = 'stopping')),
  CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')))
) PARTITION BY RANGE (id);
CREATE TABLE jobs_default PARTITION OF jobs DEFAULT WITH (fillfactor = 70);
CREATE INDEX jobs_live ON jobs (id) WHERE finished_at IS NULL;
CREATE INDEX jobs_final ON jobs (final, id) WHERE final IS NOT NULL;
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_by_project ON jobs (project, id);
CREATE INDEX jobs_by_name ON jobs (project, name, id);
CREATE INDEX jobs_by_queue ON jobs (queue, id);
CREATE INDEX jobs_by_submitter ON jobs (submitter, id);
CREATE INDEX jobs_by_array ON jobs (array_id, array_index) WHERE array_id IS NOT NULL;

CREATE TABLE job_specs (
  job text COLLATE "C" PRIMARY KEY,
  submitted jsonb NOT NULL,
  resolved jsonb NOT NULL,
  -- commit that source.git was resolved to at submission
  source_commit text
) PARTITION BY RANGE (job);
CREATE TABLE job_specs_default PARTITION OF job_specs DEFAULT;

CREATE FUNCTION attempts_only_rise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.incarnation, NEW.attempt) < (OLD.incarnation, OLD.attempt) THEN
    RAISE EXCEPTION 'attempt of % would fall from (%, %) to (%, %)', OLD.id, OLD.incarnation, OLD.attempt, NEW.incarnation, NEW.attempt
      USING ERRCODE = 'MU001';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER attempts_only_rise BEFORE UPDATE OF incarnation, attempt ON jobs
  FOR EACH ROW EXECUTE FUNCTION attempts_only_rise();

CREATE TABLE job_dependencies (
  job text COLLATE "C" NOT NULL,
  on_job text COLLATE "C" NOT NULL,
  condition text NOT NULL CHECK (condition IN ('succeeded', 'failed', 'finished', 'started')),
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'met', 'never')),
  PRIMARY KEY (job, on_job, condition)
);
CREATE INDEX job_dependencies_open ON job_dependencies (on_job) WHERE state = 'open';

CREATE TABLE attempts (
  job text COLLATE "C" NOT NULL REFERENCES jobs,
  incarnation bigint NOT NULL,
  number integer NOT NULL CHECK (number > 0),
  state text NOT NULL DEFAULT 'scheduled' CHECK (state IN ('scheduled', 'starting', 'running', 'stopping', 'ended')),
  -- workers in all; the commit that opens an attempt must bring every one of them
  gang integer NOT NULL CHECK (gang > 0),
  variant smallint NOT NULL,
  rendezvous_address text,
  rendezvous_port integer,
  resume_reason text,
  resume_checkpoint bigint,
  scheduled_at timestamptz NOT NULL DEFAULT now(),
  starting_at timestamptz,
  started_at timestamptz,
  first_progress_at timestamptz,
  stopping_at timestamptz,
  ended_at timestamptz,
  outcome text CHECK (outcome IN ('succeeded', 'failed', 'stopped', 'superseded')),
  failure_class text,
  cause jsonb,
  first_step bigint,
  last_step bigint,
  PRIMARY KEY (job, incarnation, number),
  CHECK ((ended_at IS NOT NULL) = (state = 'ended')),
  CHECK ((outcome IS NOT NULL) = (state = 'ended'))
) PARTITION BY RANGE (job);
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT WITH (fillfactor = 70);
CREATE INDEX attempts_live ON attempts (state, job) WHERE state <> 'ended';

CREATE TABLE workers (
  job text COLLATE "C" NOT NULL,
  incarnation bigint NOT NULL,
  attempt integer NOT NULL,
  worker text COLLATE "C" NOT NULL,
  role text NOT NULL,
  node_rank integer NOT NULL,
  first_rank integer NOT NULL,
  ranks integer NOT NULL,
  node text COLLATE "C" NOT NULL,
  shard text COLLATE "C" NOT NULL,
  -- indices of the devices held, and the thousandths held of each
  devices smallint[] NOT NULL,
  share smallint NOT NULL CHECK (share BETWEEN 1 AND 1000),
  cpus integer NOT NULL CHECK (cpus >= 0),
  memory bigint NOT NULL CHECK (memory >= 0),
  desired text NOT NULL DEFAULT 'run' CHECK (desired IN ('run', 'stop', 'kill')),
  -- seconds of grace of a stop
  grace integer NOT NULL DEFAULT 0,
  -- a command waits to be sent to the engine
  todo boolean NOT NULL DEFAULT true,
  -- a person or a planned drain asked for a checkpoint now
  checkpoint_asked boolean NOT NULL DEFAULT false,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'starting', 'running', 'exited', 'lost')),
  exit_code integer,
  signal text,
  oom boolean NOT NULL DEFAULT false,
  reason text,
  -- what is known of its end: {tail, ranks, matched}
  detail jsonb,
  started_at timestamptz,
  ended_at timestamptz,
  -- bytes of output that the engine has, and those kept in the log store
  output_size bigint NOT NULL DEFAULT 0,
  kept_size bigint NOT NULL DEFAULT 0,
  -- its devices are free again
  released boolean NOT NULL DEFAULT false,
  PRIMARY KEY (job, incarnation, attempt, worker),
  FOREIGN KEY (job, incarnation, attempt) REFERENCES attempts (job, incarnation, number),
  CHECK (NOT released OR state IN ('exited', 'lost') OR ended_at IS NOT NULL)
) PARTITION BY RANGE (job);
CREATE TABLE workers_default PARTITION OF workers DEFAULT WITH (fillfactor = 60);
CREATE INDEX workers_todo ON workers (shard, job) WHERE todo;
CREATE INDEX workers_held ON workers (node) WHERE NOT released;
CREATE INDEX workers_logs ON workers (shard) WHERE kept_size < output_size;

-- Adds a share (below zero: gives it back) to some of a node's devices; null where the node has no such device.
CREATE FUNCTION add_share(held smallint[], devices smallint[], share integer) RETURNS smallint[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE d integer;
BEGIN
  FOREACH d IN ARRAY devices LOOP
    IF d < 0 OR d >= cardinality(held) THEN
      RETURN NULL;
    END IF;
    held[d + 1] := held[d + 1] + share;
  END LOOP;
  RETURN held;
END $$;

-- Devices are counted row by row when workers are inserted and when they are released. Whoever does either locks the rows of
-- node_usage first, in the order of node names, so that two transactions can't deadlock.
CREATE FUNCTION worker_holds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- a worker may join only an attempt that has not been handed over
  IF NOT EXISTS (SELECT FROM attempts a WHERE (a.job, a.incarnation, a.number) = (NEW.job, NEW.incarnation, NEW.attempt) AND a.state = 'scheduled') THEN
    RAISE EXCEPTION 'a worker can only be added while its attempt is opened' USING ERRCODE = 'MU004';
  END IF;
  UPDATE node_usage u SET cpus = u.cpus + NEW.cpus, memory = u.memory + NEW.memory, held = add_share(u.held, NEW.devices, NEW.share)
    FROM nodes n
    WHERE u.node = NEW.node AND n.name = NEW.node AND u.cpus + NEW.cpus <= n.cpus AND u.memory + NEW.memory <= n.memory
      AND add_share(u.held, NEW.devices, 0) IS NOT NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'more is assigned than there is on %', NEW.node USING ERRCODE = 'MU002';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER worker_holds AFTER INSERT ON workers FOR EACH ROW EXECUTE FUNCTION worker_holds();

CREATE FUNCTION worker_releases() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE node_usage u SET cpus = u.cpus - NEW.cpus, memory = u.memory - NEW.memory, held = add_share(u.held, NEW.devices, -NEW.share)
    WHERE u.node = NEW.node;
  RETURN NULL;
END $$;
CREATE TRIGGER worker_releases AFTER UPDATE ON workers FOR EACH ROW
  WHEN (NEW.released AND NOT OLD.released) EXECUTE FUNCTION worker_releases();

CREATE FUNCTION worker_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what a worker holds can''t change, and what it gave back stays given' USING ERRCODE = 'MU005';
END $$;
CREATE TRIGGER worker_keeps BEFORE UPDATE ON workers FOR EACH ROW
  WHEN ((OLD.released AND NOT NEW.released)
    OR (NEW.node, NEW.devices, NEW.share, NEW.cpus, NEW.memory) IS DISTINCT FROM (OLD.node, OLD.devices, OLD.share, OLD.cpus, OLD.memory))
  EXECUTE FUNCTION worker_keeps();

-- Workers go only with their whole attempt, and only when retention takes it.
CREATE FUNCTION workers_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF coalesce(current_setting('muster.retention', true), '') <> 'on' OR NOT OLD.released THEN
    RAISE EXCEPTION 'worker % of % can''t be removed alone', OLD.worker, OLD.job USING ERRCODE = 'MU008';
  END IF;
  RETURN OLD;
END $$;
CREATE TRIGGER workers_stay BEFORE DELETE ON workers FOR EACH ROW EXECUTE FUNCTION workers_stay();

CREATE FUNCTION gang_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE present integer;
BEGIN
  SELECT count(*) INTO present FROM workers w WHERE (w.job, w.incarnation, w.attempt) = (NEW.job, NEW.incarnation, NEW.number);
  IF present <> NEW.gang THEN
    RAISE EXCEPTION 'attempt % of % has % of its % workers', NEW.number, NEW.job, present, NEW.gang USING ERRCODE = 'MU006';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER gang_is_whole AFTER INSERT ON attempts DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION gang_is_whole();

CREATE FUNCTION attempt_is_current() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM jobs j WHERE j.id = NEW.job AND (j.incarnation, j.attempt) = (NEW.incarnation, NEW.number)) THEN
    RAISE EXCEPTION 'attempt % is not the current one of %', NEW.number, NEW.job USING ERRCODE = 'MU007';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER attempt_is_current AFTER INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION attempt_is_current();

CREATE TABLE progress (
  job text COLLATE "C" PRIMARY KEY,
  attempt integer NOT NULL,
  step bigint,
  total bigint,
  loss double precision,
  rate double precision,
  phase text,
  at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 60);

-- An accepted commit. The newest one of a job, by id, is its latest checkpoint, whichever attempt made it.
CREATE TABLE checkpoints (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job text COLLATE "C" NOT NULL,
  incarnation bigint NOT NULL,
  attempt integer NOT NULL,
  generation integer NOT NULL,
  step bigint NOT NULL,
  path text NOT NULL,
  worker text COLLATE "C" NOT NULL,
  accepted_at timestamptz NOT NULL DEFAULT now(),
  -- copied to where no attempt can write
  sealed_path text,
  sealed_at timestamptz,
  seal_error text,
  pruned boolean NOT NULL DEFAULT false,
  UNIQUE (job, incarnation, attempt, generation, step)
);
CREATE INDEX checkpoints_by_job ON checkpoints (job, id);
CREATE INDEX checkpoints_unsealed ON checkpoints (id) WHERE sealed_at IS NULL AND seal_error IS NULL;

-- The append-only record, and the feed that everyone follows. Readers order by (xid, seq) and stop short of transactions
-- still open, so that nothing that commits late is passed over.
CREATE TABLE events (
  seq bigint GENERATED ALWAYS AS IDENTITY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  kind text NOT NULL,
  actor text NOT NULL,
  project text COLLATE "C",
  job text COLLATE "C",
  attempt integer,
  node text COLLATE "C",
  queue text COLLATE "C",
  pool text COLLATE "C",
  data jsonb NOT NULL DEFAULT '{}'
) PARTITION BY RANGE (at);
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE INDEX events_feed ON events (xid, seq);
CREATE INDEX events_by_job ON events (job, xid, seq) WHERE job IS NOT NULL;
CREATE INDEX events_by_node ON events (node, xid, seq) WHERE node IS NOT NULL;

CREATE TABLE idempotency_keys (
  subject text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  body_hash bytea NOT NULL,
  status integer NOT NULL,
  response jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (subject, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE incidents (
  id text COLLATE "C" PRIMARY KEY,
  kind text NOT NULL,
  severity text NOT NULL DEFAULT 'warning' CHECK (severity IN ('info', 'warning', 'critical')),
  opened_at timestamptz NOT NULL DEFAULT now(),
  closed_at timestamptz,
  project text COLLATE "C",
  job text COLLATE "C",
  attempt integer,
  node text COLLATE "C",
  -- what was seen (evidence), what it was taken for (class, rule), what was done (action), what it cost (device_seconds, phases)
  evidence jsonb NOT NULL DEFAULT '[]',
  class text,
  rule text,
  action text,
  cost jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX incidents_open ON incidents (opened_at) WHERE closed_at IS NULL;
CREATE INDEX incidents_by_job ON incidents (job) WHERE job IS NOT NULL;

-- Down Migration

DROP TABLE incidents, idempotency_keys, events, checkpoints, progress, workers, attempts, job_dependencies, job_specs, jobs,
  node_usage, nodes, shards, pools, queues, tokens, members, projects, leases, cluster;
DROP FUNCTION node_usage_follow, attempts_only_rise, add_share, worker_holds, worker_releases, worker_keeps, workers_stay, gang_is_whole, attempt_is_current;
