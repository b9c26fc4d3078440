-- What is published is never changed, readers see their tenant only, and views that answer the usual questions.

CREATE FUNCTION never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed: post a CANCEL or CORRECT, or reverse the request', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER je_header_is_final BEFORE UPDATE OR DELETE ON je_header FOR EACH ROW EXECUTE FUNCTION never_changed();
CREATE TRIGGER je_line_is_final BEFORE UPDATE OR DELETE ON je_line FOR EACH ROW EXECUTE FUNCTION never_changed();
CREATE TRIGGER lot_is_final BEFORE UPDATE OR DELETE ON lot FOR EACH ROW EXECUTE FUNCTION never_changed();
CREATE TRIGGER position_is_final BEFORE UPDATE OR DELETE ON position FOR EACH ROW EXECUTE FUNCTION never_changed();
CREATE TRIGGER balance_is_final BEFORE UPDATE OR DELETE ON balance FOR EACH ROW EXECUTE FUNCTION never_changed();

ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE rule_set ENABLE ROW LEVEL SECURITY;
ALTER TABLE rule ENABLE ROW LEVEL SECURITY;
ALTER TABLE entity ENABLE ROW LEVEL SECURITY;
ALTER TABLE period ENABLE ROW LEVEL SECURITY;
ALTER TABLE account ENABLE ROW LEVEL SECURITY;
ALTER TABLE schedule ENABLE ROW LEVEL SECURITY;
ALTER TABLE request ENABLE ROW LEVEL SECURITY;
ALTER TABLE progress ENABLE ROW LEVEL SECURITY;
ALTER TABLE manifest ENABLE ROW LEVEL SECURITY;
ALTER TABLE input_file ENABLE ROW LEVEL SECURITY;
ALTER TABLE reconciliation ENABLE ROW LEVEL SECURITY;
ALTER TABLE reject ENABLE ROW LEVEL SECURITY;
ALTER TABLE je_header ENABLE ROW LEVEL SECURITY;
ALTER TABLE je_line ENABLE ROW LEVEL SECURITY;
ALTER TABLE lot ENABLE ROW LEVEL SECURITY;
ALTER TABLE position ENABLE ROW LEVEL SECURITY;
ALTER TABLE balance ENABLE ROW LEVEL SECURITY;

CREATE VIEW event WITH (security_invoker = true) AS
    SELECT h.tenant_id, h.entity_id, h.request_id, h.period, h.event_id, h.source, h.source_id, h.version, c.name AS event_class,
        CASE h.kind WHEN 1 THEN 'ENTRY' ELSE 'REVERSAL' END AS kind, h.trade_date, h.accounting_date, h.late,
        h.instrument, h.account_ref, h.reference, h.reference_id, h.gain, h.je_no, h.je_id, h.basis, h.file, h.line
    FROM je_header h JOIN event_class c USING (event_class);
COMMENT ON VIEW event IS 'The events that were posted, with the names of their classes: a journal entry header each';

CREATE VIEW journal WITH (security_invoker = true) AS
    SELECT l.tenant_id, l.entity_id, l.period, l.request_id, l.je_no, l.line_no, l.accounting_date, l.account,
        CASE l.side WHEN 1 THEN 'debit' ELSE 'credit' END AS side, l.quantity, l.currency, l.amount, l.fx_rate,
        l.accounted, l.instrument, l.lot
    FROM je_line l;
COMMENT ON VIEW journal IS 'Journal lines with readable sides';

CREATE VIEW trial_balance WITH (security_invoker = true) AS
    SELECT tenant_id, entity_id, period, account, currency, sum(debit) AS debit, sum(credit) AS credit,
        sum(accounted_debit) AS accounted_debit, sum(accounted_credit) AS accounted_credit,
        sum(accounted_debit - accounted_credit) AS accounted_balance
    FROM balance GROUP BY tenant_id, entity_id, period, account, currency;
COMMENT ON VIEW trial_balance IS 'Turnover by entity, period, account and currency over all published requests';

CREATE VIEW current_position WITH (security_invoker = true) AS
    SELECT DISTINCT ON (tenant_id, entity_id, instrument) tenant_id, entity_id, instrument, quantity, cost,
        accounted, currency, unrealised, request_id, entity_seq
    FROM position ORDER BY tenant_id, entity_id, instrument, entity_seq DESC;
COMMENT ON VIEW current_position IS 'Each instrument''s position after the last request that touched it';

CREATE VIEW current_lot WITH (security_invoker = true) AS
    SELECT * FROM (
        SELECT DISTINCT ON (tenant_id, entity_id, lot) tenant_id, entity_id, instrument, lot, opened, sequence, quantity,
            original, cost, accounted, currency, request_id
        FROM lot ORDER BY tenant_id, entity_id, lot, entity_seq DESC) newest
    WHERE quantity > 0;
COMMENT ON VIEW current_lot IS 'Open lots now';
