-- What the subscriber's app stands on: set-up, one-time codes, devices, how to be told.
-- Times are milliseconds since the Unix epoch, ids lower-case UUIDs. "MAC" is HMAC-SHA-256 with
-- the pepper, which is not in this database: a copy of it cannot be searched for numbers or codes.

-- A signed-in app; any number of them share one contract and one fee (S37). One device has one
-- session, so the token stands here.
CREATE TABLE devices (
    id         TEXT    NOT NULL PRIMARY KEY,
    contract   TEXT    NOT NULL,
    mailbox    TEXT    NOT NULL,
    name       TEXT    NOT NULL,                     -- empty once it is signed out
    token_hash TEXT    NOT NULL UNIQUE,              -- SHA-256 of the session token, hex
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,                     -- last request, to the hour
    ended_at   INTEGER,
    end_reason TEXT                                  -- signed_out, contract_ended
) STRICT;

CREATE INDEX devices_page ON devices (mailbox, created_at, id) WHERE ended_at IS NULL;

-- How a mailbox's owner is told; without a row the defaults hold. Mail addresses are the
-- mailbox's.
CREATE TABLE notification_settings (
    mailbox     TEXT    NOT NULL PRIMARY KEY,
    mail        INTEGER NOT NULL,
    sms         INTEGER NOT NULL,
    push        INTEGER NOT NULL,
    quiet_hours TEXT                                 -- 22:00-07:00 in Japan; null: none
) STRICT;

-- Since when a forwarded call is waited for, and when one proved that forwarding works.
CREATE TABLE forwarding_proofs (
    mailbox   TEXT    NOT NULL PRIMARY KEY,
    since     INTEGER NOT NULL,
    proven_at INTEGER
) STRICT;

-- A set-up under way.
CREATE TABLE setups (
    id          TEXT    NOT NULL PRIMARY KEY,
    token_hash  TEXT    NOT NULL UNIQUE,             -- SHA-256 of the set-up token, hex
    step        TEXT    NOT NULL,                    -- entry, terms, device, code, forwarding
    contract    TEXT,
    mailbox     TEXT,
    device_name TEXT,
    device      TEXT,                                -- once it is registered
    version     INTEGER NOT NULL,                    -- counts changes
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX setups_expiry ON setups (expires_at);

-- The code that a set-up waits for. A number that is not the contract's has a row as well, with a
-- MAC that no code has, so that nothing tells the two apart.
CREATE TABLE one_time_codes (
    setup      TEXT    NOT NULL PRIMARY KEY,
    number_mac TEXT    NOT NULL,
    code_mac   TEXT    NOT NULL,
    tries      INTEGER NOT NULL,                     -- every one counts, the right one too
    sent_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- What was done how often: sliding windows over single events.
CREATE TABLE turns (
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,                        -- MAC of a number or an address
    at      INTEGER NOT NULL
) STRICT;

CREATE INDEX turns_of ON turns (kind, subject, at);
CREATE INDEX turns_age ON turns (at);
