"""The subledger's database: tables, staging and publication, requests, look-ups, reports."""
