# Copyright: Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database with what real ones have: many kinds of objects, awkward names, values of every sort."""

from __future__ import annotations

SCRIPT = r"""
CREATE SCHEMA app;
CREATE SCHEMA "Odd Schema";
CREATE TYPE app.status AS ENUM ('pending', 'in_progress', 'done');
CREATE TABLE app.users (
    id serial PRIMARY KEY, name text NOT NULL, is_active boolean NOT NULL DEFAULT true,
    upper_name text GENERATED ALWAYS AS (upper(name)) STORED, CHECK (name <> '')
);
INSERT INTO app.users (name, is_active) SELECT 'user ' || n, n % 7 <> 0 FROM generate_series(1, 5000) n;
CREATE TABLE app.tasks (
    id bigint GENERATED ALWAYS AS IDENTITY, user_id integer REFERENCES app.users, status app.status,
    created_at timestamptz NOT NULL
) PARTITION BY RANGE (created_at);
CREATE TABLE app.tasks_2025 PARTITION OF app.tasks FOR VALUES FROM ('2025-01-01Z') TO ('2026-01-01Z');
CREATE TABLE app.tasks_2026 PARTITION OF app.tasks FOR VALUES FROM ('2026-01-01Z') TO ('2027-01-01Z');
INSERT INTO app.tasks (user_id, status, created_at)
    SELECT 1 + n % 5000, 'pending', timestamptz '2025-12-30 00:00Z' + n * interval '1 minute'
      FROM generate_series(1, 6000) n;
CREATE TABLE parent (id integer, note text);
CREATE TABLE child (extra integer) INHERITS (parent);
INSERT INTO parent SELECT n, 'parent' FROM generate_series(1, 10) n;
INSERT INTO child SELECT n, 'child', n FROM generate_series(1, 20) n;
CREATE TABLE "Odd Schema"."täble ""q"" x" ("Ünit" text, "a b" bytea, j jsonb, ts tsvector, nan double precision);
INSERT INTO "Odd Schema"."täble ""q"" x" VALUES
    (E'line\nbreak\ttab \\. \\N', '\x00ff0a0d', '{"a": [1, null]}', to_tsvector('simple', 'a b'), 'NaN'),
    (NULL, NULL, NULL, NULL, '-Infinity');
CREATE TABLE empty (id integer);
CREATE UNLOGGED TABLE unlogged (id integer);
INSERT INTO unlogged VALUES (1), (2), (3);
CREATE TABLE wide (id integer, body text);
INSERT INTO wide SELECT n, repeat(md5(n::text), 400) FROM generate_series(1, 300) n;
CREATE VIEW app.active AS SELECT * FROM app.users WHERE is_active;
CREATE MATERIALIZED VIEW app.summary AS SELECT status, count(*) FROM app.tasks GROUP BY status;
CREATE INDEX ON app.tasks (user_id);
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON app.users FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.users ENABLE ROW LEVEL SECURITY;
COMMENT ON TABLE app.users IS 'people';
SELECT lo_from_bytea(0, '\xdeadbeef');
ALTER DATABASE {database} SET work_mem = '7MB';
"""

# What the dump of it holds, counted by hand from the statements above.
ROWS = {
    '"Odd Schema"."täble ""q"" x"': 2,
    "app.tasks_2025": 2879,
    "app.tasks_2026": 3121,
    "app.users": 5000,
    "public.child": 20,
    "public.empty": 0,
    "public.parent": 10,
    "public.unlogged": 3,
    "public.wide": 300,
}


def script(database: str) -> str:
    """The statements that fill the database of that name."""
    return SCRIPT.replace("{database}", f'"{database}"')
