-- Up Migration

-- Finished jobs counted by what summaries group by, so that nobody has to read ten million of them. Each end and each removal is a row
-- of its own, so that no two transactions meet here; housekeeping adds rows up.
CREATE TABLE finished_jobs (
  project text COLLATE "C" NOT NULL,
  queue text COLLATE "C" NOT NULL,
  submitter text NOT NULL,
  priority_class text NOT NULL,
  state text NOT NULL,
  jobs bigint NOT NULL,
  devices bigint NOT NULL
);

CREATE FUNCTION count_finished() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO finished_jobs VALUES (OLD.project, OLD.queue, OLD.submitter, OLD.priority_class, OLD.state, -1, -OLD.devices);
  ELSE
    INSERT INTO finished_jobs VALUES (NEW.project, NEW.queue, NEW.submitter, NEW.priority_class, NEW.state, 1, NEW.devices);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER count_inserted AFTER INSERT ON jobs FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL) EXECUTE FUNCTION count_finished();
CREATE TRIGGER count_finished AFTER UPDATE ON jobs FOR EACH ROW
  WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL) EXECUTE FUNCTION count_finished();
CREATE TRIGGER count_removed AFTER DELETE ON jobs FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION count_finished();

INSERT INTO finished_jobs SELECT project, queue, submitter, priority_class, state, count(*), sum(devices) FROM jobs WHERE finished_at IS NOT NULL GROUP BY 1, 2, 3, 4, 5;

-- Down Migration

DROP TRIGGER count_inserted ON jobs;
DROP TRIGGER count_finished ON jobs;
DROP TRIGGER count_removed ON jobs;
DROP FUNCTION count_finished;
DROP TABLE finished_jobs;
