-- Up Migration

-- Nodes kept free for a time: maintenance, or a reservation for some jobs or queues.
CREATE TABLE windows (
  name text COLLATE "C" PRIMARY KEY,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL CHECK (ends_at > starts_at),
  spec jsonb NOT NULL,
  version integer NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Down Migration

DROP TABLE windows;
