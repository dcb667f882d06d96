-- How many resources of each type a tenant has, so that a page of a list tells it without counting them.
CREATE TABLE tally (
    tenant TEXT NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    type TEXT NOT NULL,
    resources BIGINT NOT NULL,
    PRIMARY KEY (tenant, type)
);
INSERT INTO tally (tenant, type, resources) SELECT tenant, type, count(*) FROM resource GROUP BY tenant, type;
