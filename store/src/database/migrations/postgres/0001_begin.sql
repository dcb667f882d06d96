-- A second wall between tenants: whatever a statement says, it sees and changes only the rows of the tenant that its transaction is for.
-- Without one it sees none. FORCE: for the owner of the tables too, who is whoever ran this.

ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON tenant USING (id = current_setting('doorward.tenant', true));

ALTER TABLE token ENABLE ROW LEVEL SECURITY;
ALTER TABLE token FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON token USING (tenant = current_setting('doorward.tenant', true));

ALTER TABLE resource ENABLE ROW LEVEL SECURITY;
ALTER TABLE resource FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON resource USING (tenant = current_setting('doorward.tenant', true));

ALTER TABLE email ENABLE ROW LEVEL SECURITY;
ALTER TABLE email FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON email USING (tenant = current_setting('doorward.tenant', true));

ALTER TABLE unique_value ENABLE ROW LEVEL SECURITY;
ALTER TABLE unique_value FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON unique_value USING (tenant = current_setting('doorward.tenant', true));

ALTER TABLE member ENABLE ROW LEVEL SECURITY;
ALTER TABLE member FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON member USING (tenant = current_setting('doorward.tenant', true));

ALTER TABLE change ENABLE ROW LEVEL SECURITY;
ALTER TABLE change FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON change USING (tenant = current_setting('doorward.tenant', true));

ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON idempotency USING (tenant = current_setting('doorward.tenant', true));

-- Before it is known whose a request is, the service looks its token up; and it makes tenants and tokens.
CREATE POLICY service ON tenant USING (current_setting('doorward.service', true) = 'on');
CREATE POLICY service ON token USING (current_setting('doorward.service', true) = 'on');
