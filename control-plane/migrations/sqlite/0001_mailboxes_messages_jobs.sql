-- The rows that are the truth. Times are milliseconds since the Unix epoch, ids lower-case UUIDs.

CREATE TABLE mailboxes (
    id                TEXT    NOT NULL PRIMARY KEY,
    number            TEXT    NOT NULL,              -- E.164, +8150…
    language          TEXT    NOT NULL,              -- ja, en, detect
    beep              INTEGER NOT NULL,
    quiet_limit_s     INTEGER,
    recording_limit_s INTEGER NOT NULL,
    greeting          TEXT    NOT NULL,              -- default, own, none
    own_greeting      INTEGER NOT NULL,              -- 1: greetings/<id>.wav is there
    addresses         TEXT    NOT NULL,              -- JSON array of mail addresses
    version           INTEGER NOT NULL,              -- counts changes
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    deleted_at        INTEGER
) STRICT;

-- A number has one mailbox at a time; a deleted mailbox gives it back.
CREATE UNIQUE INDEX mailboxes_number ON mailboxes (number) WHERE deleted_at IS NULL;
CREATE INDEX mailboxes_page ON mailboxes (created_at, id) WHERE deleted_at IS NULL;

CREATE TABLE messages (
    id               TEXT    NOT NULL PRIMARY KEY,   -- the RecordingId
    mailbox          TEXT    NOT NULL,               -- may be unknown: state orphaned
    state            TEXT    NOT NULL,               -- sealed, transcribed, failed, orphaned, deleted
    caller_kind      TEXT    NOT NULL,
    caller_number    TEXT,
    codec            TEXT    NOT NULL,
    language         TEXT    NOT NULL,               -- ja, en, detect: as the call was answered
    answered_at      INTEGER NOT NULL,
    received_at      INTEGER NOT NULL,               -- when the recording ended
    end_reason       TEXT    NOT NULL,
    frames           INTEGER NOT NULL,
    lost             INTEGER NOT NULL,
    duration_ms      INTEGER NOT NULL,
    call_ms          INTEGER NOT NULL,
    payload_sha256   TEXT    NOT NULL,
    recording_bytes  INTEGER NOT NULL,
    audio_bytes      INTEGER,
    audio_sha256     TEXT,
    spoken_language  TEXT,
    verdict          TEXT,                           -- speech, empty, no_speech, rejected
    text             TEXT,
    segments         TEXT,                           -- JSON
    confidence       REAL,
    model            TEXT,
    failure          TEXT,                           -- why there is no text
    read_at          INTEGER,
    notified_at      INTEGER,
    deleted_at       INTEGER
) STRICT;

CREATE INDEX messages_page ON messages (mailbox, received_at, id) WHERE deleted_at IS NULL;
CREATE INDEX messages_unread ON messages (mailbox, received_at, id)
    WHERE deleted_at IS NULL AND read_at IS NULL;

CREATE TABLE jobs (
    id          TEXT    NOT NULL PRIMARY KEY,        -- <kind>:<subject>, so that none comes twice
    kind        TEXT    NOT NULL,                    -- transcribe, erase_message, erase_greeting
    subject     TEXT    NOT NULL,                    -- id of the message or mailbox
    attempts    INTEGER NOT NULL,                    -- that failed
    run_at      INTEGER NOT NULL,
    lease       TEXT,                                -- token of who works on it
    lease_until INTEGER,
    created_at  INTEGER NOT NULL,
    last_error  TEXT
) STRICT;

CREATE INDEX jobs_due ON jobs (run_at);

CREATE TABLE outbox (
    message     TEXT    NOT NULL,
    channel     TEXT    NOT NULL,                    -- mail
    target      TEXT    NOT NULL,                    -- address
    mailbox     TEXT    NOT NULL,
    state       TEXT    NOT NULL,                    -- pending, sent, given_up
    attempts    INTEGER NOT NULL,                    -- that failed
    next_at     INTEGER NOT NULL,
    lease       TEXT,
    lease_until INTEGER,
    created_at  INTEGER NOT NULL,
    settled_at  INTEGER,
    last_error  TEXT,
    PRIMARY KEY (message, channel, target)
) STRICT;

CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'pending';

CREATE TABLE api_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    hash       TEXT    NOT NULL UNIQUE,              -- SHA-256 of the secret, hex
    scopes     TEXT    NOT NULL,                     -- separated by spaces
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- One row that readiness writes to prove that rows can be written.
CREATE TABLE probe (
    id INTEGER NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;
