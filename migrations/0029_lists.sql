-- What an organization keeps is listed in the order of ids, which begin with their time: a page is read from its place in an index, state by state,
-- of one office or of all. The tables may be long.
NO_TIME_LIMIT;
-- Imported reports belong to nobody and are in no list.
CREATE INDEX loss_reports_listed ON loss_reports (organization_id, state, report_id) WHERE organization_id IS NOT NULL;
CREATE INDEX loss_reports_listed_by_office ON loss_reports (organization_id, office, state, report_id)
    WHERE organization_id IS NOT NULL;
CREATE INDEX replacements_listed ON replacements (organization_id, replacement_id);
CREATE INDEX replacements_listed_by_office ON replacements (organization_id, office, replacement_id);
CREATE INDEX found_cards_listed ON found_cards (organization_id, state, found_card_id);
CREATE INDEX found_cards_listed_by_office ON found_cards (organization_id, office, state, found_card_id);
CREATE INDEX replacement_applications_listed ON replacement_applications (organization_id, state, application_id);
CREATE INDEX replacement_applications_listed_by_office
    ON replacement_applications (organization_id, applied_at_office, state, application_id);
-- A certificate expires without a write: which of the others have expired is a matter of the moment.
CREATE INDEX temporary_certificates_listed ON temporary_certificates (organization_id, certificate_id) WHERE revoked_at IS NULL;
CREATE INDEX temporary_certificates_revoked ON temporary_certificates (organization_id, certificate_id)
    WHERE revoked_at IS NOT NULL;
CREATE INDEX temporary_certificates_listed_by_office ON temporary_certificates (organization_id, office, certificate_id)
    WHERE revoked_at IS NULL;
CREATE INDEX temporary_certificates_revoked_by_office ON temporary_certificates (organization_id, office, certificate_id)
    WHERE revoked_at IS NOT NULL;
-- Registrars list every organization's by state already. An office is that of the registrar that resolved a report.
CREATE INDEX misuse_reports_listed ON misuse_reports (organization_id, state, misuse_report_id);
CREATE INDEX misuse_reports_resolved_by_office ON misuse_reports (resolved_by_office, misuse_report_id)
    WHERE resolved_by_office IS NOT NULL;
CREATE INDEX misuse_reports_listed_by_office ON misuse_reports (organization_id, resolved_by_office, misuse_report_id)
    WHERE resolved_by_office IS NOT NULL;
