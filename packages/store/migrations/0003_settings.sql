-- Up Migration

-- Counts changes of the settings, so that an operator changes only what was read.
ALTER TABLE cluster ADD COLUMN settings_version integer NOT NULL DEFAULT 1;

-- Down Migration

ALTER TABLE cluster DROP COLUMN settings_version;
