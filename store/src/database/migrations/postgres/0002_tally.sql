-- Again, as the owner: before, the policies kept all resources back.
ALTER TABLE resource NO FORCE ROW LEVEL SECURITY;
INSERT INTO tally (tenant, type, resources) SELECT tenant, type, count(*) FROM resource GROUP BY tenant, type
ON CONFLICT DO NOTHING;
ALTER TABLE resource FORCE ROW LEVEL SECURITY;

ALTER TABLE tally ENABLE ROW LEVEL SECURITY;
ALTER TABLE tally FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON tally USING (tenant = current_setting('doorward.tenant', true));
