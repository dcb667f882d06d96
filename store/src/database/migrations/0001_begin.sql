-- For SQLite and PostgreSQL alike. Times are microseconds since 1970 UTC; booleans are 0 and 1. Every key begins with the tenant.

CREATE TABLE tenant (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    -- How its identity provider speaks: rfc, entra, okta, and so on.
    profile TEXT NOT NULL,
    created BIGINT NOT NULL,
    -- The head of its audit trail: the last record's place and hash.
    sequence BIGINT NOT NULL,
    hash BYTEA NOT NULL
);

CREATE TABLE token (
    -- SHA-256 of the token. The token itself is nowhere.
    hash BYTEA NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    last_used BIGINT,
    UNIQUE (tenant, name)
);

CREATE TABLE resource (
    tenant TEXT NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    -- What filters ask about most. Folded where case does not matter, so that equal values are equal texts.
    user_name TEXT,
    external_id TEXT,
    display_name TEXT,
    active BIGINT,
    -- What people call it, as it was written: the display name of a member.
    label TEXT,
    -- Every attribute but meta, and what other tables have: members and groups.
    data TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX resource_user_name ON resource (tenant, type, user_name) WHERE user_name IS NOT NULL;
CREATE INDEX resource_external_id ON resource (tenant, type, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX resource_display_name ON resource (tenant, type, display_name) WHERE display_name IS NOT NULL;
CREATE INDEX resource_modified ON resource (tenant, type, modified);
CREATE INDEX resource_type ON resource (tenant, type, id);

-- The values of e-mail addresses, folded.
CREATE TABLE email (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    position BIGINT NOT NULL,
    value TEXT NOT NULL,
    kind TEXT,
    PRIMARY KEY (tenant, id, position),
    FOREIGN KEY (tenant, id) REFERENCES resource (tenant, id) ON DELETE CASCADE
);
CREATE INDEX email_value ON email (tenant, value, kind, id);

-- Values that no two resources of a type may have, of attributes that have no column.
CREATE TABLE unique_value (
    tenant TEXT NOT NULL,
    type TEXT NOT NULL,
    attribute TEXT NOT NULL,
    value TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (tenant, type, attribute, value),
    FOREIGN KEY (tenant, id) REFERENCES resource (tenant, id) ON DELETE CASCADE
);
CREATE INDEX unique_value_id ON unique_value (tenant, id);

CREATE TABLE member (
    tenant TEXT NOT NULL,
    group_id TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (tenant, group_id, value),
    FOREIGN KEY (tenant, group_id) REFERENCES resource (tenant, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant, value) REFERENCES resource (tenant, id) ON DELETE CASCADE
);
CREATE INDEX member_value ON member (tenant, value, group_id);

-- The audit trail, which is the change feed too.
CREATE TABLE change (
    tenant TEXT NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    -- As it was hashed, byte for byte.
    record TEXT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (tenant, sequence)
);

-- What creates with an Idempotency-Key were answered.
CREATE TABLE idempotency (
    tenant TEXT NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    -- SHA-256 of what was sent: the same key with something else is an error.
    fingerprint BYTEA NOT NULL,
    id TEXT NOT NULL,
    response TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (tenant, key)
);
CREATE INDEX idempotency_created ON idempotency (created);

-- The keys by which this service signs cursors and the like, so that every process has the same.
CREATE TABLE secret (
    name TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
