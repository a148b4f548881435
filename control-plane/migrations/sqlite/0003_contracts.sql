-- Contracts, lines, numbers, terms and the audit log. Times are milliseconds since the Unix epoch,
-- dates are yyyy-mm-dd in Japan, ids lower-case UUIDs.

CREATE TABLE contracts (
    id                 TEXT    NOT NULL PRIMARY KEY,
    line               TEXT    NOT NULL,             -- E.164, +81[6789]0…
    kind               TEXT    NOT NULL,             -- individual, corporate
    state              TEXT    NOT NULL,             -- applied, active, ended
    applied_at         INTEGER NOT NULL,
    applied_on         TEXT    NOT NULL,
    activated_at       INTEGER,
    cancelled_at       INTEGER,
    ends_on            TEXT,                         -- last day
    ends_at            INTEGER,                      -- first moment of the day behind
    ended_at           INTEGER,
    terms_version      INTEGER,                      -- the last one accepted
    serial_hash        TEXT    NOT NULL UNIQUE,      -- HMAC-SHA-256 with the pepper, hex
    serial_redeemed_at INTEGER,
    mailbox            TEXT    UNIQUE,
    number             TEXT,                         -- E.164, +8150…
    email              TEXT,                         -- gone once ended
    language           TEXT    NOT NULL,             -- ja, en
    campaign_version   INTEGER,
    free_until         TEXT,
    version            INTEGER NOT NULL              -- counts changes
) STRICT;

CREATE INDEX contracts_page ON contracts (applied_at, id);
CREATE INDEX contracts_line ON contracts (line, applied_at);

-- The primary key is what lets a line have one service: S28.
CREATE TABLE line_services (
    line     TEXT    NOT NULL PRIMARY KEY,
    service  TEXT    NOT NULL CHECK (service IN ('smart', 'carrier')),
    contract TEXT,                                   -- of service smart
    since    INTEGER NOT NULL
) STRICT;

CREATE TABLE line_flags (
    line       TEXT    NOT NULL,
    flag       TEXT    NOT NULL,                     -- arrears, breach, unsuitable
    reason     TEXT    NOT NULL,
    set_by     TEXT    NOT NULL,
    set_at     INTEGER NOT NULL,
    cleared_at INTEGER,
    PRIMARY KEY (line, flag)
) STRICT;

-- Once per line for ever (S62, S64, S69): kept after the contract, so not under the number itself.
CREATE TABLE line_campaign (
    line_hash        TEXT    NOT NULL PRIMARY KEY,   -- HMAC-SHA-256 with the pepper, hex
    contract         TEXT    NOT NULL,               -- the line's first application
    campaign_version INTEGER,                        -- what it was granted, if anything
    granted_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE numbers (
    number            TEXT    NOT NULL PRIMARY KEY,  -- E.164, +8150…
    state             TEXT    NOT NULL,              -- free, assigned, quarantined
    contract          TEXT,
    quarantined_until INTEGER
) STRICT;

CREATE INDEX numbers_state ON numbers (state, quarantined_until, number);

CREATE TABLE terms (
    version        INTEGER NOT NULL PRIMARY KEY,
    effective_from INTEGER NOT NULL,
    url_ja         TEXT,
    url_en         TEXT,
    text_ja        TEXT,
    text_en        TEXT,
    created_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE terms_acceptances (
    contract    TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (contract, version)
) STRICT;

CREATE TABLE roaming_events (
    id         TEXT    NOT NULL PRIMARY KEY,
    line       TEXT    NOT NULL,
    contract   TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX roaming_of_contract ON roaming_events (contract, created_at);

-- Answers to repeated applications. Keys and bodies are kept as HMAC-SHA-256: they may name people.
CREATE TABLE idempotency_keys (
    actor      TEXT    NOT NULL,
    key_hash   TEXT    NOT NULL,
    body_hash  TEXT    NOT NULL,
    subject    TEXT    NOT NULL,                     -- what was made
    created_at INTEGER NOT NULL,
    PRIMARY KEY (actor, key_hash)
) STRICT;

CREATE INDEX idempotency_age ON idempotency_keys (created_at);

-- Every change by an operator, in the transaction of the change. Each row's hash covers the row
-- before, so none can be changed or taken out unseen.
CREATE TABLE audit (
    seq       INTEGER NOT NULL PRIMARY KEY,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    detail    TEXT    NOT NULL,                      -- JSON, nothing personal
    prev_hash TEXT    NOT NULL,
    hash      TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_subject ON audit (subject, seq);

CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_keeps BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
