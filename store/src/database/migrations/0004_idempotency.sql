-- Each create with a key forgets the old ones of its tenant: by time within the tenant, so that it costs the same however many there are.
CREATE INDEX idempotency_of_tenant ON idempotency (tenant, created);
DROP INDEX idempotency_created;
