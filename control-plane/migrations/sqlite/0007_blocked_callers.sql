-- Callers whom a mailbox's owner does not want to hear from. A number is a keyed hash, bound to its
-- mailbox; the key lies beside the database.

CREATE TABLE blocked_callers (
    mailbox    TEXT    NOT NULL,
    hash       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    kind       TEXT    NOT NULL,                     -- number, withheld, payphone, unavailable
    ending     TEXT,                                 -- last digits of the number
    created_at INTEGER NOT NULL,
    PRIMARY KEY (mailbox, hash)
) STRICT, WITHOUT ROWID;
