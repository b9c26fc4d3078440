-- Run once in the new database. CloudNativePG gives the login roles their passwords afterwards (managed.roles).
CREATE ROLE florin_read_model LOGIN;
CREATE ROLE florin_loader LOGIN;
CREATE ROLE florin_reader LOGIN;
CREATE ROLE florin_metrics LOGIN;
-- The read model's schema is its own; readers see every table of it, also those of later versions.
GRANT CREATE ON DATABASE florin TO florin_read_model;
ALTER DEFAULT PRIVILEGES FOR ROLE florin_read_model GRANT USAGE ON SCHEMAS TO florin_reader, florin_metrics;
ALTER DEFAULT PRIVILEGES FOR ROLE florin_read_model GRANT SELECT ON TABLES TO florin_reader, florin_metrics;
-- The subledger's tables belong to subledger_loader; whoever loads is a member of it. Tenants have reader roles of
-- their own (`jobs.subledger tenant add`): GRANT subledger_reader_acme TO florin_reader;
CREATE ROLE subledger_loader NOLOGIN;
GRANT subledger_loader TO florin_loader;
GRANT subledger_loader TO florin_admin WITH ADMIN OPTION;
