"""Reads mails with Python's email package and prints what an independent parser sees, as JSON."""

import email
import email.policy
import hashlib
import json
import sys

mails = []
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        mail = email.message_from_binary_file(file, policy=email.policy.default)
    sounds = list(mail.iter_attachments())
    mails.append({
        "subject": mail["subject"],
        "from": str(mail["from"]),
        "to": str(mail["to"]),
        "date": mail["date"].datetime.isoformat(),
        "message_id": mail["message-id"],
        "auto_submitted": mail["auto-submitted"],
        "body": mail.get_body(("plain",)).get_content(),
        "attachments": [{
            "file": sound.get_filename(),
            "type": sound.get_content_type(),
            "sha256": hashlib.sha256(sound.get_content()).hexdigest(),
        } for sound in sounds],
        "defects": [str(defect) for part in mail.walk() for defect in part.defects],
    })
print(json.dumps(mails))
