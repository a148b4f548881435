-- Words that a mailbox's owner expects to be said, sealed like the addresses.

ALTER TABLE mailboxes ADD COLUMN hotwords TEXT NOT NULL DEFAULT '[]';
