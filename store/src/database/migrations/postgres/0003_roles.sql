ALTER TABLE role_grant ENABLE ROW LEVEL SECURITY;
ALTER TABLE role_grant FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON role_grant USING (tenant = current_setting('doorward.tenant', true));
