-- Up Migration

-- What workers hold is counted once a statement and node, not once a worker: a batch of starts or ends changes a node's row once.

-- Adds shares (below zero: gives them back) to a node's devices; null where the node has no such device.
CREATE FUNCTION add_shares(held smallint[], devices integer[], shares integer[]) RETURNS smallint[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE total integer[] := held;
BEGIN
  IF devices IS NULL THEN
    RETURN held;
  END IF;
  FOR i IN 1 .. cardinality(devices) LOOP
    IF devices[i] < 0 OR devices[i] >= cardinality(held) THEN
      RETURN NULL;
    END IF;
    total[devices[i] + 1] := total[devices[i] + 1] + shares[i];
  END LOOP;
  -- far out of bounds is out of bounds: the check refuses it by its name
  FOR i IN 1 .. cardinality(devices) LOOP
    held[devices[i] + 1] := greatest(-1, least(1001, total[devices[i] + 1]));
  END LOOP;
  RETURN held;
END $$;

CREATE FUNCTION workers_hold() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  touched text[] := ARRAY(SELECT DISTINCT node FROM added ORDER BY node);
  done text[];
BEGIN
  -- a worker may join only an attempt that has not been handed over
  IF NOT (SELECT bool_and(coalesce((SELECT a.state = 'scheduled' FROM attempts a WHERE (a.job, a.incarnation, a.number) = (k.job, k.incarnation, k.attempt)), false))
      FROM (SELECT DISTINCT job, incarnation, attempt FROM added) k) THEN
    RAISE EXCEPTION 'a worker can only be added while its attempt is opened' USING ERRCODE = 'MU004';
  END IF;
  -- in the order of names, so that two transactions can't deadlock
  IF cardinality(touched) > 1 THEN
    PERFORM FROM node_usage WHERE node = ANY (touched) ORDER BY node FOR UPDATE;
  END IF;
  WITH changed AS (
    UPDATE node_usage u SET cpus = u.cpus + d.cpus, memory = u.memory + d.memory, held = add_shares(u.held, d.devices, d.shares)
    FROM (SELECT node, sum(cpus) AS cpus, sum(memory) AS memory, array_agg(device) FILTER (WHERE share <> 0) AS devices, array_agg(share) FILTER (WHERE share <> 0) AS shares
        FROM (SELECT node, cpus, memory, 0 AS device, 0 AS share FROM added
          UNION ALL SELECT node, 0, 0, device, share FROM added, unnest(devices) AS device) AS parts
        GROUP BY node) AS d, nodes n
    WHERE u.node = d.node AND n.name = d.node AND u.cpus + d.cpus <= n.cpus AND u.memory + d.memory <= n.memory
      AND add_shares(u.held, d.devices, d.shares) IS NOT NULL
    RETURNING u.node)
  SELECT array_agg(node) INTO done FROM changed;
  IF cardinality(coalesce(done, '{}')) < cardinality(touched) THEN
    RAISE EXCEPTION 'more is assigned than there is on %', (SELECT min(node) FROM unnest(touched) AS node WHERE node <> ALL (coalesce(done, '{}'))) USING ERRCODE = 'MU002';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION workers_release() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE touched text[];
BEGIN
  IF NOT EXISTS (SELECT FROM after WHERE released) THEN
    RETURN NULL;
  END IF;
  -- what was released before stays so, so the difference is what is released now
  touched := ARRAY(SELECT node FROM (SELECT node, 1 AS many FROM after WHERE released UNION ALL SELECT node, -1 FROM before WHERE released) AS parts
    GROUP BY node HAVING sum(many) > 0 ORDER BY node);
  IF cardinality(touched) = 0 THEN
    RETURN NULL;
  END IF;
  IF cardinality(touched) > 1 THEN
    PERFORM FROM node_usage WHERE node = ANY (touched) ORDER BY node FOR UPDATE;
  END IF;
  UPDATE node_usage u SET cpus = u.cpus - d.cpus, memory = u.memory - d.memory, held = add_shares(u.held, d.devices, d.shares)
    FROM (SELECT node, sum(cpus) AS cpus, sum(memory) AS memory, array_agg(device) FILTER (WHERE share <> 0) AS devices, array_agg(share) FILTER (WHERE share <> 0) AS shares
        FROM (SELECT node, cpus, memory, 0 AS device, 0 AS share FROM after WHERE released
          UNION ALL SELECT node, 0, 0, device, -share FROM after, unnest(devices) AS device WHERE released
          UNION ALL SELECT node, -cpus, -memory, 0, 0 FROM before WHERE released
          UNION ALL SELECT node, 0, 0, device, share FROM before, unnest(devices) AS device WHERE released) AS parts
        GROUP BY node) AS d
    WHERE u.node = d.node AND u.node = ANY (touched);
  RETURN NULL;
END $$;

-- The same for whoever writes to a partition directly.
CREATE FUNCTION count_usage_of(workers regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE OR REPLACE TRIGGER workers_hold AFTER INSERT ON %s REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION workers_hold()', workers);
  EXECUTE format('CREATE OR REPLACE TRIGGER workers_release AFTER UPDATE ON %s REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION workers_release()', workers);
END $$;

SELECT count_usage_of('workers');
SELECT count_usage_of(inhrelid) FROM pg_inherits WHERE inhparent = 'workers'::regclass;
DROP TRIGGER worker_holds ON workers;
DROP TRIGGER worker_releases ON workers;

-- Down Migration

CREATE TRIGGER worker_holds AFTER INSERT ON workers FOR EACH ROW EXECUTE FUNCTION worker_holds();
CREATE TRIGGER worker_releases AFTER UPDATE ON workers FOR EACH ROW
  WHEN (NEW.released AND NOT OLD.released) EXECUTE FUNCTION worker_releases();
DO $$ DECLARE part regclass; BEGIN
  FOR part IN SELECT 'workers'::regclass UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = 'workers'::regclass LOOP
    EXECUTE format('DROP TRIGGER workers_hold ON %s', part);
    EXECUTE format('DROP TRIGGER workers_release ON %s', part);
  END LOOP;
END $$;
DROP FUNCTION count_usage_of, workers_hold, workers_release, add_shares;
