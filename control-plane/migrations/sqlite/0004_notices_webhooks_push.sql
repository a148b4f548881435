-- Anything that is told: to a subscriber by mail, SMS or push, to an operator's program by webhook.

CREATE TABLE notices (
    id          TEXT    NOT NULL PRIMARY KEY,        -- of a new message: the RecordingId
    kind        TEXT    NOT NULL,                    -- new_message, one_time_code, …, event
    subject     TEXT    NOT NULL,                    -- id of what it speaks of
    mailbox     TEXT,                                -- whose deletion takes the notice along
    contract    TEXT,
    language    TEXT    NOT NULL,                    -- ja, en
    payload     TEXT    NOT NULL,                    -- JSON; emptied once everyone was told
    quiet_hours TEXT,                                -- 22:00-07:00 in Japan: push and SMS wait
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER
) STRICT;

CREATE INDEX notices_mailbox ON notices (mailbox) WHERE mailbox IS NOT NULL;
CREATE INDEX notices_age ON notices (created_at);

INSERT INTO notices (id, kind, subject, mailbox, language, payload, created_at)
    SELECT message, 'new_message', message, MIN(mailbox), 'ja', '{"kind":"new_message"}',
        MIN(created_at)
    FROM outbox GROUP BY message;

CREATE TABLE deliveries (
    notice      TEXT    NOT NULL,
    channel     TEXT    NOT NULL,                    -- mail, sms, push, webhook
    target      TEXT    NOT NULL,                    -- address, number, or id of the endpoint
    state       TEXT    NOT NULL,                    -- pending, sent, given_up
    attempts    INTEGER NOT NULL,                    -- that failed
    next_at     INTEGER NOT NULL,
    lease       TEXT,
    lease_until INTEGER,
    created_at  INTEGER NOT NULL,
    settled_at  INTEGER,
    last_error  TEXT,
    maybe_sent  INTEGER NOT NULL DEFAULT 0,          -- times it left without a known answer
    PRIMARY KEY (notice, channel, target)
) STRICT;

INSERT INTO deliveries SELECT message, channel, target, state, attempts, next_at, lease,
    lease_until, created_at, settled_at, last_error, 0 FROM outbox;
DROP TABLE outbox;
ALTER TABLE deliveries RENAME TO outbox;

CREATE INDEX outbox_due ON outbox (channel, next_at) WHERE state = 'pending';
CREATE INDEX outbox_target ON outbox (channel, target, created_at);

-- Browsers that take web push (RFC 8030). The keys are the browser's public ones.
CREATE TABLE push_endpoints (
    id         TEXT    NOT NULL PRIMARY KEY,
    mailbox    TEXT    NOT NULL,
    device     TEXT,                                 -- which signed-in app, if one
    url        TEXT    NOT NULL UNIQUE,
    p256dh     TEXT    NOT NULL,                     -- base64url, 65 bytes (RFC 8291 §2)
    auth       TEXT    NOT NULL,                     -- base64url, 16 bytes
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX push_endpoints_mailbox ON push_endpoints (mailbox);

-- Operators' programs that are told of events. Secrets are derived and never stored.
CREATE TABLE webhooks (
    id          TEXT    NOT NULL PRIMARY KEY,
    url         TEXT    NOT NULL,
    events      TEXT    NOT NULL,                    -- separated by spaces; empty: all
    description TEXT    NOT NULL,
    enabled     INTEGER NOT NULL,
    generation  INTEGER NOT NULL,                    -- of its secret
    rotated_at  INTEGER,                             -- the secret before signs, too, for a while
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX webhooks_page ON webhooks (created_at, id);

-- Each part of an SMS that a message centre took, and what its receipt said.
CREATE TABLE sms_parts (
    reference  TEXT    NOT NULL PRIMARY KEY,         -- the centre's id
    notice     TEXT,                                 -- null: the receipt came first
    state      TEXT,                                 -- delivered, expired, rejected, …
    state_at   INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX sms_parts_notice ON sms_parts (notice);
