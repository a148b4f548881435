-- Campaigns and monthly billing. Times are milliseconds since the Unix epoch, dates yyyy-mm-dd and
-- months yyyy-mm in Japan, amounts whole yen.

-- Versions of the campaign. What one granted is kept with the contract, so it stays (S72).
CREATE TABLE campaigns (
    version     INTEGER NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    starts_on   TEXT    NOT NULL,
    ends_on     TEXT,                                -- NULL: until a later version starts
    free_months INTEGER NOT NULL,                    -- 0: none
    created_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX campaigns_started ON campaigns (starts_on, version);

CREATE TRIGGER campaigns_stay BEFORE UPDATE ON campaigns
BEGIN SELECT RAISE(ABORT, 'a version of the campaign never changes'); END;
CREATE TRIGGER campaigns_keep BEFORE DELETE ON campaigns
BEGIN SELECT RAISE(ABORT, 'a version of the campaign never changes'); END;

-- Closed months. A month without a row is open.
CREATE TABLE billing_months (
    month       TEXT    NOT NULL PRIMARY KEY,
    closed_at   INTEGER NOT NULL,
    lines       INTEGER NOT NULL,
    net_yen     INTEGER NOT NULL,
    tax_yen     INTEGER NOT NULL,
    total_yen   INTEGER NOT NULL,
    csv_bytes   INTEGER NOT NULL,
    csv_sha256  TEXT    NOT NULL,
    json_bytes  INTEGER NOT NULL,
    json_sha256 TEXT    NOT NULL
) STRICT;

CREATE TRIGGER billing_months_stay BEFORE UPDATE ON billing_months
BEGIN SELECT RAISE(ABORT, 'a closed month never changes'); END;
CREATE TRIGGER billing_months_keep BEFORE DELETE ON billing_months
BEGIN SELECT RAISE(ABORT, 'a closed month never changes'); END;

-- The exports of closed months, byte for byte, in parts that are put together in order.
CREATE TABLE billing_exports (
    month  TEXT    NOT NULL,
    format TEXT    NOT NULL,                         -- csv, json
    part   INTEGER NOT NULL,                         -- from 0
    bytes  BLOB    NOT NULL,
    PRIMARY KEY (month, format, part)
) STRICT;

-- Parts come before their month's row, in one transaction.
CREATE TRIGGER billing_exports_closed BEFORE INSERT ON billing_exports
WHEN EXISTS (SELECT 1 FROM billing_months WHERE month = NEW.month)
BEGIN SELECT RAISE(ABORT, 'a closed month never changes'); END;
CREATE TRIGGER billing_exports_stay BEFORE UPDATE ON billing_exports
BEGIN SELECT RAISE(ABORT, 'a closed month never changes'); END;
CREATE TRIGGER billing_exports_keep BEFORE DELETE ON billing_exports
BEGIN SELECT RAISE(ABORT, 'a closed month never changes'); END;

-- Lengths of the calls of a mailbox in a month, without looking at the messages themselves.
CREATE INDEX messages_usage ON messages (mailbox, answered_at, call_ms);

-- Corrections of closed months; each lands in the month that was the next open one.
CREATE TABLE billing_adjustments (
    id         TEXT    NOT NULL PRIMARY KEY,
    contract   TEXT    NOT NULL,
    for_month  TEXT    NOT NULL,
    lands_in   TEXT    NOT NULL,
    net_yen    INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX billing_adjustments_landing ON billing_adjustments (lands_in, contract, created_at, id);

CREATE TRIGGER billing_adjustments_closed BEFORE INSERT ON billing_adjustments
WHEN EXISTS (SELECT 1 FROM billing_months WHERE month = NEW.lands_in)
BEGIN SELECT RAISE(ABORT, 'a closed month never changes'); END;
CREATE TRIGGER billing_adjustments_stay BEFORE UPDATE ON billing_adjustments
BEGIN SELECT RAISE(ABORT, 'a correction never changes; make another'); END;
CREATE TRIGGER billing_adjustments_keep BEFORE DELETE ON billing_adjustments
BEGIN SELECT RAISE(ABORT, 'a correction never changes; make another'); END;
