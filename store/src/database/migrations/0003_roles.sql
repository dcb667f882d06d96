-- Which roles the members of which groups have.
CREATE TABLE role_grant (
    tenant TEXT NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    -- What a group is known by: displayName, externalId or id.
    known_by TEXT NOT NULL,
    -- Folded where case does not matter, as in the columns of groups.
    value TEXT NOT NULL,
    -- As it was written.
    label TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (tenant, role, known_by, value)
);
CREATE INDEX role_grant_group ON role_grant (tenant, known_by, value, role);
