-- Up Migration

-- Declared lost: not heard of for the lost limit. What runs there keeps its devices until its end is confirmed, but jobs whose
-- `recovery.partition` is `supersede` go on without it. Null again as soon as the node is heard of and nothing old lives there.
ALTER TABLE nodes ADD COLUMN lost_since timestamptz;
CREATE INDEX nodes_lost ON nodes (name) WHERE lost_since IS NOT NULL;

-- Down Migration

DROP INDEX nodes_lost;
ALTER TABLE nodes DROP COLUMN lost_since;
