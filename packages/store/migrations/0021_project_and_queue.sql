-- Up Migration

-- A project's jobs in a queue that it seldom uses are found without walking through all of its jobs.
CREATE INDEX jobs_by_project_queue ON jobs (project, queue, id);

-- Down Migration

DROP INDEX jobs_by_project_queue;
