-- Sealed columns and deletions. From here on texts, segments, callers' numbers and notification
-- addresses are sealed with the mailbox's data key (`e1.…`); the keys lie in keys.db, a file of its
-- own, so that a backup of this file cannot bring back what was deleted.

-- Which key file this database was sealed with.
CREATE TABLE vault (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    key_file TEXT    NOT NULL
) STRICT;

-- What older versions wrote in clear; sealed at the next start.
CREATE TABLE unsealed (
    kind TEXT NOT NULL,                              -- message, mailbox, outbox, sound, greeting
    id   TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

INSERT INTO unsealed (kind, id) SELECT 'message', id FROM messages
    WHERE caller_number IS NOT NULL OR text IS NOT NULL OR segments IS NOT NULL;
INSERT INTO unsealed (kind, id) SELECT 'mailbox', id FROM mailboxes WHERE addresses <> '[]';
INSERT INTO unsealed (kind, id) SELECT 'outbox', 'all' WHERE EXISTS (SELECT 1 FROM outbox);
INSERT INTO unsealed (kind, id) SELECT 'sound', id FROM messages WHERE state <> 'deleted';
INSERT INTO unsealed (kind, id) SELECT 'greeting', id FROM mailboxes WHERE own_greeting = 1;

-- Deleted mailboxes: what there was, and the signed receipt once nothing is left.
CREATE TABLE deletions (
    mailbox      TEXT    NOT NULL PRIMARY KEY,
    requested_at INTEGER NOT NULL,
    deleted      TEXT    NOT NULL,                   -- JSON: how many of what
    notices      TEXT    NOT NULL,                   -- JSON array: whose copies go along
    completed_at INTEGER,
    receipt      TEXT                                -- signed JSON
) STRICT;
